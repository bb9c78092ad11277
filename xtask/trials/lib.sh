# What the trials share: a network with the broker of k8s/rabbitmq.yaml on it, and a debug pod to look at the broker from.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

label=amqp-tools-trials # on everything that trials make
network=amqp-tools-trials
domain=default.svc.cluster.local
BROKER_URL=amqp://guest:guest@rabbitmq-service:5672
fruit=(apple banana cherry date fig grape lemon melon)

# create OPTION... IMAGE COMMAND...: a container on the network, not started yet, that resolves names as a pod does.
create() {
    docker create --label $label --network $network --dns-search=$domain --dns-search=svc.cluster.local \
        --dns-search=cluster.local --dns-option=ndots:5 --env BROKER_URL=$BROKER_URL --env AMQP_URL=$BROKER_URL \
        --env RABBITMQ_SERVICE_SERVICE_HOST=rabbitmq-service "$@"
}

# run OPTION... IMAGE COMMAND...: a container's output, to its end, and its exit status.
run() {
    local id
    id=$(create "$@")
    docker start --attach "$id" 2>&1
}

# A Python that reads manifests, for what Kubernetes would do with them.
kube() {
    target/manifests-venv/bin/python xtask/trials/kube.py "$@"
}

# A shell script in the debug pod.
tools() {
    docker exec -i $label-debug bash -euc "$1"
}

# How many messages are in a queue, or how many consumers it has: count messages|consumers QUEUE
count() {
    tools "amqp-declare-queue --passive --json -q $2 | jq .$1"
}

# An empty durable queue with these tasks in it: fill QUEUE TASK...
fill() {
    tools "amqp-delete-queue -q $1; amqp-declare-queue -d -q $1" >/dev/null
    [ $# = 1 ] || printf '%s\n' "${@:2}" | tools "amqp-publish -r $1 -p -l --chomp"
}

# expect WHAT VALUE EXPECTED
expect() {
    [ "$2" = "$3" ] || { printf '%s: %s\nexpected: %s\n' "$1" "$2" "$3" && exit 1; }
}

# until_it COMMAND...: waits for two minutes until the command succeeds.
until_it() {
    local deadline=$((SECONDS + 120))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || { echo "waited two minutes in vain: $*" && exit 1; }
        sleep 0.1
    done
}

consumers_are() {
    [ "$(count consumers "$1")" = "$2" ]
}

prints() {
    docker logs "$1" 2>&1 | grep --quiet "$2"
}

# What the tutorial leaves behind: the queues as they are after its lines.
tutorial_is_done() {
    expect "messages in foo" "$(count messages foo)" 0
    expect "tasks" "$(tools 'amqp-get -q job1 -c 9 --json | jq -r .body')" "$(printf '%s\n' "${fruit[@]}")"
}

# Removes what trials made, an interrupted run's too.
sweep() {
    local ids
    ids=$(docker ps -aq --filter label=$label)
    [ -z "$ids" ] || docker rm --force --volumes $ids >/dev/null
    docker volume ls -q --filter label=$label | xargs --no-run-if-empty docker volume rm >/dev/null
    docker network ls -q --filter label=$label | xargs --no-run-if-empty docker network rm >/dev/null
}
