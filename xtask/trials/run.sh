#!/usr/bin/env bash
# The trials: what a reader of the tutorial, a cluster and a system's administrator do with what we ship. Each is a script of
# its own in this folder, and its first comment says what it proves. The last line counts them.
. "$(dirname "$0")/lib.sh"
TRIALS_FOLDER=$(mktemp --directory)
export TRIALS_FOLDER
trap 'sweep; rm -rf "$TRIALS_FOLDER"' EXIT
sweep
docker network create --label $label $network >/dev/null
# By the Service's name in the cluster's domain, and by no shorter one.
broker=$(kube pod StatefulSet rabbitmq --name=$label-broker --network-alias=rabbitmq-service.$domain --hostname=rabbitmq-0)
docker start "$(create --name $label-debug amqp-tools:debug sleep infinity)" >/dev/null
until_it prints "$broker" "Server startup complete"

passed=0 failed=0
for trial in xtask/trials/[0-9]*.sh; do
    name=$(sed -n '2s/^# *//p' "$trial")
    began=$SECONDS
    if timeout --kill-after=10 900 bash "$trial" >"$TRIALS_FOLDER/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $name ($((SECONDS - began)) s)$(sed -n 's/^note: /: /p' "$TRIALS_FOLDER/log")"
    else
        failed=$((failed + 1))
        echo "FAILED  $name ($((SECONDS - began)) s)"
        cat "$TRIALS_FOLDER/log"
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
