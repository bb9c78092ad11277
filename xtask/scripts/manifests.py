"""manifests.py FILE...: validates manifests against the Kubernetes API's schemas, and against each other."""

import json
import subprocess
import sys
import tempfile

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


files = sys.argv[1:]
documents = [one for file in files for one in yaml.safe_load_all(open(file)) if one]
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
print(f"{len(documents)} manifests are valid")
