#!/usr/bin/env bash
# Tries these manifests on the cluster that `kubectl` points to, step by step as k8s/README.md has them, in a namespace of its own
# that enforces the "restricted" Pod Security Standard. Each step says what it proves. At the end everything is removed.
# The images must be there: see "Images" in the README. Without a cluster it exits 77.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
namespace=amqp-tools-try

lacks() {
    echo "skipped: $1" >&2
    exit 77
}
command -v kubectl >/dev/null || lacks "there is no kubectl"
kubectl version --request-timeout=10s >/dev/null 2>&1 || lacks "kubectl reaches no cluster"
kubectl get namespace $namespace >/dev/null 2>&1 &&
    { echo "there is a namespace $namespace already; remove it first" >&2 && exit 1; }

k() {
    kubectl --namespace=$namespace "$@"
}

# proves WHAT: the step before has shown that.
proves() {
    echo "ok: $1"
}

fail() {
    echo "FAILED: $1" >&2
    k get pods,jobs >&2 || true
    exit 1
}

# expect WHAT VALUE EXPECTED
expect() {
    [ "$2" = "$3" ] || fail "$1: '$2', expected '$3'"
}

# until_it COMMAND...: waits for five minutes until the command succeeds.
until_it() {
    local deadline=$((SECONDS + 300))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "waited in vain: $*"
        sleep 1
    done
}

# A command in the debug pod. AMQP_URL is set there.
pod() {
    k exec -i temp -- "$@"
}

messages() {
    pod amqp-declare-queue --passive --json -q "$1" | sed 's/.*"messages":\([0-9]*\).*/\1/'
}

fill() {
    printf '%s\n' "$@" | pod amqp-publish -r job1 -p -l --chomp
}

succeeded() {
    k get job "$1" -o jsonpath='{.status.succeeded}'
}

is_complete() {
    k wait --for=condition=complete "job/$1" --timeout=10m >/dev/null || fail "job/$1 is not complete"
}

# The first running pod with that label.
running_pod() {
    k get pods -l "$1" --field-selector=status.phase=Running -o jsonpath='{.items[0].metadata.name}'
}

has_running_pod() {
    [ -n "$(running_pod "$1")" ]
}

consumes() {
    [ "$(pod amqp-declare-queue --passive --json -q job1 | sed 's/.*"consumers":\([0-9]*\).*/\1/')" -ge 1 ]
}

trap 'kubectl delete namespace $namespace --ignore-not-found' EXIT
kubectl create namespace $namespace
kubectl label namespace $namespace pod-security.kubernetes.io/enforce=restricted

sed "s/rabbitmq-service\.default\.svc/rabbitmq-service.$namespace.svc/" k8s/rabbitmq.yaml | k apply -f -
k rollout status statefulset/rabbitmq --timeout=10m
proves "the broker starts in a restricted namespace"

k apply -f k8s/debug-pod.yaml
k wait --for=condition=ready pod/temp --timeout=5m
pod nslookup rabbitmq-service >/dev/null
url=amqp://guest:guest@rabbitmq-service:5672
expect "declared" "$(pod /usr/bin/amqp-declare-queue --url=$url -q foo -d)" foo
pod /usr/bin/amqp-publish --url=$url -r foo -p -b Hello
expect "consumed" "$(pod /usr/bin/amqp-consume --url=$url -q foo -c 1 cat)" Hello
proves "the tutorial's lines work in the debug pod"

k apply -f k8s/seed-job.yaml
k wait --for=condition=complete job/seed-job1 --timeout=5m
expect "seeded" "$(messages job1)" 8
proves "a Job fills the queue from a ConfigMap"

k apply -f k8s/job.yaml
until_it has_running_pod job-name=job-wq-1
k delete pod "$(running_pod job-name=job-wq-1)" --wait=false
until_it has_running_pod job-name=job-wq-1
k delete pod "$(running_pod job-name=job-wq-1)" --grace-period=0 --force
is_complete job-wq-1
expect "completions" "$(succeeded job-wq-1)" 8
expect "left" "$(messages job1)" 0
proves "the tutorial's Job does eight tasks of eight, with a pod deleted and one killed"
k delete job job-wq-1

fill once
k apply -f - <<'MANIFEST'
apiVersion: batch/v1
kind: Job
metadata:
  name: fails-once
spec:
  template:
    spec:
      restartPolicy: OnFailure
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: worker
          image: amqp-tools:worker
          imagePullPolicy: IfNotPresent
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: ["ALL"]}}
          command: ["amqp-consume", "-q", "job1", "-c", "1", "sh", "-c"]
          args: ["cat; test -e /state/tried || { touch /state/tried; exit 75; }"]
          env: [{name: AMQP_URL, valueFrom: {secretKeyRef: {name: rabbitmq-credentials, key: url}}}]
          volumeMounts: [{name: state, mountPath: /state}]
      volumes: [{name: state, emptyDir: {}}]
MANIFEST
is_complete fails-once
expect "left" "$(messages job1)" 0
proves "a task that fails once is done at the second attempt"

fill apple banana cherry
k apply -f k8s/job-until-empty.yaml
is_complete job-wq-until-empty
expect "left" "$(messages job1)" 0
proves "a Job without a number of tasks ends when the queue is empty"

# The worker's script is replaced by one that fails on one task.
fill apple poison banana
# shellcheck disable=SC2016
sed 's|- /worker.sh|- sh\n            - -c\n            - sleep 5; test "$(cat)" != poison|' k8s/job-with-parking.yaml | k apply -f -
until_it has_running_pod job-name=job-wq-parking
k delete pod rabbitmq-0
k rollout status statefulset/rabbitmq --timeout=10m
is_complete job-wq-parking
expect "left" "$(messages job1)" 0
expect "parked" "$(pod amqp-get -q job1-failed)" poison
proves "a poisonous task is parked, and the others are done, while the broker's pod is replaced"

k apply -f k8s/deployment.yaml
k rollout status deployment/worker --timeout=5m
until_it consumes
fill 1 2 3 4 5 6 7 8
k rollout restart deployment/worker
k rollout status deployment/worker --timeout=10m
kubectl create --raw "/api/v1/namespaces/$namespace/pods/$(running_pod app=worker)/eviction" -f - >/dev/null <<MANIFEST
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$(running_pod app=worker)", "namespace": "$namespace"}}
MANIFEST
is_empty() {
    [ "$(messages job1)" = 0 ]
}
until_it is_empty
k rollout status deployment/worker --timeout=5m
k delete -f k8s/deployment.yaml
# What a pod had in work when it ended is done, or back in the queue.
until_it sh -c "! kubectl --namespace=$namespace get pods -l app=worker -o name | grep -q ."
expect "left" "$(messages job1)" 0
proves "a Deployment works through a rollout and an eviction, and loses nothing"

if kubectl api-resources --api-group=keda.sh 2>/dev/null | grep -q scaledjobs; then
    fill 1 2 3 4 5 6 7 8
    k apply -f k8s/keda-authentication.yaml -f k8s/keda-scaledjob.yaml
    until_it is_empty
    proves "KEDA starts a Job for each task"
else
    echo "skipped: KEDA is not installed in the cluster"
fi
echo "all is as it should be"
