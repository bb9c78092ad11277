#!/usr/bin/env bash
# demo.sh URL PREFIX: the tutorial, as its readers paste it, and then its Job, on the broker at that URL. Its queues' names begin
# with the prefix. The tools are on the PATH. Anything that is not as it must be is an error.
set -euo pipefail
export BROKER_URL=$1
unset AMQP_URL
test_queue=$2test job_queue=$2job1
folder=$(mktemp --directory)
cd "$folder"
finish() {
    status=$?
    wait
    if [ $status != 0 ]; then
        for queue in "$test_queue" "$job_queue"; do
            amqp-delete-queue --url="$BROKER_URL" -q "$queue" >delete.txt 2>&1 || true
        done
    fi
    rm -r "$folder"
}
trap finish EXIT
bold='' plain=''
[ ! -t 1 ] || bold=$'\e[1m' plain=$'\e[0m'

show() {
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
}

# step LINE OUTPUT: shows a line, runs it, and insists on what it prints.
step() {
    show "$1"
    timeout 60 bash -c "$1" >printed.txt 2>&1 || { cat printed.txt && echo "\`$1\` has failed" >&2 && return 1; }
    printf '%s' "$(<printed.txt)"
    [ ! -s printed.txt ] || echo
    [ "$(<printed.txt)" = "$2" ] || { echo "\`$1\` should have printed $2" >&2 && return 1; }
}

printf '\nThe tutorial: a queue, a message, a command that gets it.\n\n'
url='--url=$BROKER_URL'
step "amqp-declare-queue $url -q $test_queue -d $test_queue" "$test_queue"
step "amqp-publish $url -r $test_queue -p -b Hello" ""
step "amqp-consume $url -q $test_queue -c 1 cat && echo Hello" "HelloHello"
step "amqp-delete-queue $url -q $test_queue" "0"

printf '\nThe job: 8 tasks, two workers at a time. One task fails on its first try.\n\n'
cat >worker.sh <<'EOF'
#!/bin/sh
task=$(cat)
if [ "$task" = cherry ] && mkdir first-try 2>/dev/null; then
    echo "cannot process $task yet"
    exit 1
fi
echo "processed $task" | tee -a done.txt
EOF
chmod 755 worker.sh
fruit="apple banana cherry date fig grape lemon melon"
step "amqp-declare-queue $url -q $job_queue -d" "$job_queue"
step "for f in $fruit; do amqp-publish $url -r $job_queue -p -b \$f; done" ""
step "cat worker.sh" "$(<worker.sh)"
show "amqp-consume $url -q $job_queue -c 1 ./worker.sh    # in each pod"

# As Kubernetes does: a pod that failed is replaced, and no more are started than can still succeed.
pod() {
    local status=0
    timeout 60 amqp-consume --url="$BROKER_URL" -q "$job_queue" -c 1 ./worker.sh >"pod$1.txt" 2>&1 || status=$?
    printf '%s' "$(<"pod$1.txt")"
    [ $status = 0 ] && echo && return
    echo ": exit status $status, the task goes back to the queue"
    return 1
}
started=0 succeeded=0 failed=0 running=0
while [ $succeeded -lt 8 ] && [ $failed -le 6 ]; do
    while [ $running -lt 2 ] && [ $((succeeded + running)) -lt 8 ]; do
        started=$((started + 1)) running=$((running + 1))
        pod $started | sed "s/^/pod $started: /" &
    done
    if wait -n; then succeeded=$((succeeded + 1)); else failed=$((failed + 1)); fi
    running=$((running - 1))
done
step "sort done.txt" "$(printf 'processed %s\n' $fruit)"
step "amqp-declare-queue $url -q $job_queue -d --json" "{\"queue\":\"$job_queue\",\"messages\":0,\"consumers\":0}"
step "amqp-delete-queue $url -q $job_queue" "0"
[ $failed = 1 ] || { echo "one pod should have failed, not $failed" >&2 && exit 1; }
printf '\nAll 8 tasks are done, each once. %s pods succeeded, %s failed and was replaced. Nothing is left in the queue.\n' \
    $succeeded $failed
