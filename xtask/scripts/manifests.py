"""manifests.py FILE...: validates manifests against the Kubernetes API's schemas, against each other, and against the "restricted"
Pod Security Standard (https://kubernetes.io/docs/concepts/security/pod-security-standards/)."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

import yaml

# The oldest Kubernetes in which all that the manifests use is stable (podFailurePolicy is, since 1.31), and the newest that the
# schemas know.
VERSIONS = [["--kubernetes-version", "1.31"], []]


def validate(file, version):
    """Unknown kinds (KEDA's) get a warning only; unknown and misspelt fields are errors."""
    validator = [sys.executable, "-m", "kubernetes_validate", "--strict", "--quiet", "--no-warn"]
    if subprocess.run([*validator, *version, file]).returncode:
        sys.exit(f"{file} is not valid")


def all_under(value, key):
    """The values of all keys of that name, however deep."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from [member] if name == key else all_under(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from all_under(member, key)


def check_references(documents):
    """Every key of a Secret, and every ConfigMap, that a manifest names exists."""
    named = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    references = list(all_under(documents, "secretKeyRef"))
    references += [entry for entries in all_under(documents, "secretTargetRef") for entry in entries]
    for reference in references:
        if reference["key"] not in named["Secret", reference["name"]]["stringData"]:
            sys.exit(f"there is no such key of a Secret: {reference}")
    for volume in all_under(documents, "configMap"):
        if ("ConfigMap", volume["name"]) not in named:
            sys.exit(f"there is no ConfigMap {volume['name']}")


def check_targets(documents):
    """What a custom resource or a probe points to is there: the schemas of these kinds are not at hand."""
    named = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    for scaled in (one for one in documents if one["kind"] == "ScaledObject"):
        target = scaled["spec"]["scaleTargetRef"]
        if (target.get("kind", "Deployment"), target["name"]) not in named:
            sys.exit(f"there is nothing of that name to scale: {target}")
    for reference in all_under(documents, "authenticationRef"):
        if ("TriggerAuthentication", reference["name"]) not in named:
            sys.exit(f"there is no TriggerAuthentication {reference['name']}")
    for monitor in (one for one in documents if one["kind"] == "PodMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        templates = [template for template in all_under(documents, "template") if "metadata" in template]
        chosen = [one["spec"] for one in templates if wanted <= one["metadata"].get("labels", {}).items()]
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if not any(endpoint["port"] in port_names(pod) for pod in chosen):
                sys.exit(f"no pod that the PodMonitor chooses has the port {endpoint['port']}")
    for pod in (pod for document in documents for pod in pods(document)):
        for probe in all_under(pod, "httpGet"):
            if probe["port"] not in port_names(pod):
                sys.exit(f"no container has the port of the probe {probe}")


def port_names(pod):
    return {port.get("name") for container in pod["containers"] for port in container.get("ports", [])}


def check_grace(documents):
    """A worker ends its tasks (SIGTERM, 5 seconds, SIGKILL) before the kubelet ends the worker."""
    for pod in (pod for document in documents for pod in pods(document)):
        for container in pod["containers"]:
            for argument in container.get("args", []):
                if match := re.fullmatch(r"--grace=(\d+)s", argument):
                    if int(match[1]) + 5 >= pod.get("terminationGracePeriodSeconds", 30):
                        sys.exit(f"{argument} is too long for terminationGracePeriodSeconds")


def check_kustomization(folder, kustomization):
    """Its resources are files, and kubectl can put them together, where there is one."""
    for resource in kustomization["resources"]:
        if not (folder / resource).is_file():
            sys.exit(f"there is no {resource}")
    if shutil.which("kubectl"):
        subprocess.run(["kubectl", "kustomize", folder], check=True, stdout=subprocess.DEVNULL)


def check_keda(documents):
    """KEDA's operator runs in a namespace of its own and must find the broker from there."""
    secrets = {one["metadata"]["name"]: one for one in documents if one["kind"] == "Secret"}
    for target in (one for entries in all_under(documents, "secretTargetRef") for one in entries):
        host = urllib.parse.urlsplit(secrets[target["name"]]["stringData"][target["key"]]).hostname
        if target["parameter"] == "host" and not re.fullmatch(r"[^.]+\.[^.]+\.svc(\..+)?", host):
            sys.exit(f"{host} is a name that only pods of the same namespace can resolve")


def pods(document):
    """The specs of the pods that a manifest makes."""
    if document["kind"] == "Pod":
        yield document["spec"]
    yield from (template["spec"] for template in all_under(document, "template") if "spec" in template)


# What a volume may be by the "restricted" standard.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod):
    """What the "restricted" standard forbids, of what a manifest of ours could have."""
    context = pod.get("securityContext", {})
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    for volume in pod.get("volumes", []):
        yield from (f"volumes: {kind}" for kind in volume.keys() - {"name"} - VOLUMES)
    for container in pod.get("initContainers", []) + pod["containers"]:
        own = container.get("securityContext", {})
        both = {**context, **own}
        capabilities = own.get("capabilities", {})
        rules = {
            "runAsNonRoot: true": both.get("runAsNonRoot") is True,
            "runAsUser other than 0": both.get("runAsUser") != 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "allowPrivilegeEscalation: false": own.get("allowPrivilegeEscalation") is False,
            "privileged: false": not own.get("privileged"),
            "capabilities: drop: [ALL]": "ALL" in capabilities.get("drop", []),
            "no added capabilities": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "no hostPort": not any("hostPort" in port for port in container.get("ports", [])),
        }
        yield from (f"{container['name']}: {rule}" for rule, holds in rules.items() if not holds)


def check_pods(document):
    """A pod is one that a "restricted" namespace admits, and takes images that were loaded into the node."""
    name = document["metadata"]["name"]
    for pod in pods(document):
        for violation in violations(pod):
            sys.exit(f'{name} is not "restricted": {violation}')
        for container in pod.get("initContainers", []) + pod["containers"]:
            image, policy = container["image"], container.get("imagePullPolicy")
            if ":" not in image or image.endswith(":latest"):
                sys.exit(f"{name}: {image} has no tag, so that nodes pull it always")
            if image.startswith(("amqp-tools:", "job-wq-1:")) and policy != "IfNotPresent":
                sys.exit(f"{name}: {image} is loaded, not pulled: imagePullPolicy: IfNotPresent")


files = sys.argv[1:]
documents = [one for file in files for one in yaml.safe_load_all(open(file)) if one]
for file in files:
    if pathlib.Path(file).name == "kustomization.yaml":
        check_kustomization(pathlib.Path(file).parent, yaml.safe_load(open(file)))
documents = [one for one in documents if one["kind"] != "Kustomization"]
files = [file for file in files if pathlib.Path(file).name != "kustomization.yaml"]
for file in files:
    for version in VERSIONS:
        validate(file, version)
for scaled in documents:
    if scaled["kind"] == "ScaledJob":
        # What it starts is a Job, so it must be valid as one.
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": scaled["metadata"]["name"]}}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({**job, "spec": scaled["spec"]["jobTargetRef"]}, file)
            file.flush()
            validate(file.name, [])
check_references(documents)
check_keda(documents)
check_targets(documents)
check_grace(documents)
for document in documents:
    check_pods(document)
print(f"{len(documents)} manifests are valid")
