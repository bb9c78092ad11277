"""What Kubernetes would make of the manifests in k8s/, as Docker containers on the trials' network.

kube.py pod KIND NAME [OPTION...]  starts the pod of that object's template, and prints the container's id
kube.py job NAME [--kill TEXT] [OPTION...]
    runs a Job to its end: so many pods at a time, failed ones started again or replaced. Prints what its pods printed, and last
    how many pods succeeded, and the statuses of the others. With --kill, the first pod that prints TEXT is killed.

OPTIONs are for `docker create`. An emptyDir and a ConfigMap are folders in $TRIALS_FOLDER, a claimed volume is Docker's.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import yaml

LABEL = NETWORK = "amqp-tools-trials"
DOMAIN = "default.svc.cluster.local"
DEADLINE = time.monotonic() + 240
NAMES = ["--dns-search=" + DOMAIN, "--dns-search=svc.cluster.local", "--dns-search=cluster.local", "--dns-option=ndots:5"]
# Kubernetes sets these in every pod for the Service `rabbitmq-service`; RabbitMQ's own variables begin the same way.
SERVICE = {
    "RABBITMQ_SERVICE_SERVICE_HOST": "rabbitmq-service",
    "RABBITMQ_SERVICE_SERVICE_PORT": "5672",
    "RABBITMQ_SERVICE_PORT": "tcp://rabbitmq-service:5672",
    "RABBITMQ_SERVICE_PORT_5672_TCP_PORT": "5672",
}
MANIFESTS = {
    (one["kind"], one["metadata"]["name"]): one
    for file in pathlib.Path("k8s").glob("*.yaml")
    for one in yaml.safe_load_all(file.open())
    if one and "metadata" in one  # kustomization.yaml has none
}


def docker(*words):
    return subprocess.run(["docker", *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def logs(container):
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(["docker", "logs", container], check=True, text=True, **both).stdout


def status(container):
    """The exit status, once it has ended."""
    state, code = docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", container).split()
    return int(code) if state in ("exited", "dead") else None


def wait_for(what, ask):
    while (answer := ask()) is None:
        if time.monotonic() > DEADLINE:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.1)
    return answer


def environment(container):
    values = {}
    for variable in container.get("env", []):
        if "valueFrom" in variable:
            key = variable["valueFrom"]["secretKeyRef"]
            values[variable["name"]] = MANIFESTS["Secret", key["name"]]["stringData"][key["key"]]
        else:
            values[variable["name"]] = expand(variable["value"], values)
    return values


def expand(word, values):
    """Puts $(NAME) in place, as Kubernetes does: an unknown name stays as it is."""
    return re.sub(r"\$\((\w+)\)", lambda match: values.get(match[1], match[0]), word)


def volume(spec, mount):
    volume = next((one for one in spec.get("volumes", []) if one["name"] == mount["name"]), None)
    if volume is None:
        return docker("volume", "create", "--label", LABEL)
    folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TRIALS_FOLDER"]))
    folder.chmod(0o777)
    if "configMap" in volume:
        for name, text in MANIFESTS["ConfigMap", volume["configMap"]["name"]]["data"].items():
            (folder / name).write_text(text)
    return folder / mount.get("subPath", "")


def create(spec, container, options):
    values = environment(container)
    words = ["create", "--label", LABEL, "--network", NETWORK, *NAMES]
    words += [f"--env={name}={value}" for name, value in {**SERVICE, **values}.items()]
    security = container.get("securityContext", {})
    pod = spec.get("securityContext", {})
    words += [f"--user={pod['runAsUser']}:{pod['runAsGroup']}"] if "runAsUser" in pod else []
    words += ["--read-only"] if security.get("readOnlyRootFilesystem") else []
    words += ["--security-opt=no-new-privileges"] if security.get("allowPrivilegeEscalation") is False else []
    words += ["--cap-drop=" + name for name in security.get("capabilities", {}).get("drop", [])]
    words += [f"--volume={volume(spec, mount)}:{mount['mountPath']}" for mount in container.get("volumeMounts", [])]
    command = [expand(word, values) for word in container.get("command", [])]
    arguments = [expand(word, values) for word in container.get("args", [])]
    words += ["--entrypoint=" + command[0]] if command else []
    return docker(*words, *options, container["image"], *command[1:], *arguments)


def start(template, options):
    """Runs the init containers to their end, and starts the one container of a pod."""
    spec = template["spec"]
    for init in spec.get("initContainers", []):
        container = create(spec, init, [])
        docker("start", container)
        if code := wait_for("an init container", lambda: status(container)):
            sys.exit(f"an init container ended with {code}: {logs(container)}")
    [main] = spec["containers"]
    container = create(spec, main, options)
    docker("start", container)
    return container


def may_fail(job, code, failures):
    for rule in job.get("podFailurePolicy", {}).get("rules", []):
        if code in rule.get("onExitCodes", {}).get("values", []):
            if rule["action"] == "FailJob":
                sys.exit(f"the policy fails the Job: a pod ended with {code}")
            return
    if len(failures) > job.get("backoffLimit", 6):
        sys.exit(f"more failures than backoffLimit: {failures}")


def run(job, kill, options):
    running, succeeded, failures = [], 0, []
    while True:
        # No more than are still wanted: where `completions` is unset, none after the first success.
        wanted = job.get("parallelism", 1)
        if "completions" in job:
            wanted = min(wanted, job["completions"] - succeeded)
        elif succeeded:
            wanted = 0
        running += [start(job["template"], options) for _ in range(len(running), wanted)]
        if not running:
            break
        if kill:
            victim = wait_for(kill, lambda: next((one for one in running if kill in logs(one)), None))
            docker("kill", victim)
            kill = None
        ended = wait_for("a pod's end", lambda: next((one for one in running if status(one) is not None), None))
        if code := status(ended):
            failures.append(code)
            may_fail(job, code, failures)
            if job["template"]["spec"]["restartPolicy"] == "OnFailure":
                docker("start", ended)
                continue
        else:
            succeeded += 1
        running.remove(ended)
        print(logs(ended), end="")
    print("succeeded:", succeeded, "failed:", *sorted(failures))


match sys.argv[1:]:
    case ["pod", kind, name, *options]:
        print(start(MANIFESTS[kind, name]["spec"]["template"], options))
    case ["job", name, *options]:
        kill = options[1] if options[:1] == ["--kill"] else None
        manifest = MANIFESTS.get(("Job", name)) or {"spec": MANIFESTS["ScaledJob", name]["spec"]["jobTargetRef"]}
        run(manifest["spec"], kill, options[2:] if kill else options)
