#!/usr/bin/env bash
# the Jobs of k8s/ do what they say: eight tasks with a pod killed and one failed, seeding, until empty, parking, KEDA's
. "$(dirname "$0")/lib.sh"
folder=$(mktemp --directory --tmpdir="$TRIALS_FOLDER")
mkdir -m 777 "$folder/marks"
chmod 755 "$folder"
cp xtask/trials/worker.sh "$folder"
chmod 755 "$folder/worker.sh"
mounts=("--volume=$folder/worker.sh:/worker.sh" "--volume=$folder/marks:/marks")

# job NAME TASKS RESULT OPTION...: each task is done once, and it ends as the regular expression says. What it printed is in $folder/log.
job() {
    kube job "$1" "${@:4}" "${mounts[@]}" >"$folder/log"
    cat "$folder/log"
    [[ $(tail -n 1 "$folder/log") =~ ^$3$ ]] || expect "$1" "$(tail -n 1 "$folder/log")" "$3"
    expect "done by $1" "$(sed -n 's/^Done //p' "$folder/log" | sort | xargs)" "$2"
}

# The tutorial's: the pod that works on apple is killed in the middle, cherry fails the first time.
fill job1 "${fruit[@]}"
job job-wq-1 "${fruit[*]}" "succeeded: 8 failed: 75 137" --kill "Processing apple"
expect "left" "$(count messages job1)" 0

# From here on, apple and cherry have been through their trouble. The lines of the ConfigMap become persistent messages, in order.
tools "amqp-delete-queue -q job1"
job seed-job1 "" "succeeded: 1 failed:"
expect "tasks" "$(tools "amqp-get -q job1 -c 100 --json | jq -r '.body, .delivery_mode'")" "$(printf '%s\n2\n' "${fruit[@]}")"

# Any number of tasks; two pods share them, and exit 0 when there is nothing more.
fill job1 "${fruit[@]}"
job job-wq-until-empty "${fruit[*]}" "succeeded: 2 failed:"
expect "left" "$(count messages job1)" 0

# A task that fails three times is parked with the reason; the others are done, and the Job completes. A pod whose failed task went
# to the other pod ends with its status, and is replaced.
fill job1 apple bad banana
tools "amqp-delete-queue -q job1-failed"
job job-wq-parking "apple banana" "succeeded: 2 failed:( 65)?"
expect "attempts" "$(grep -c 'Processing bad' "$folder/log")" 3
expect "left" "$(count messages job1)" 0
expect "parked" "$(tools 'amqp-get -q job1-failed -c 100 --json | jq -c "[.body, .headers[\"x-exit-status\", \"x-attempts\"]]"')" \
    '["bad",65,3]'

# KEDA starts a Job for each task.
fill job1 apple banana
job job-wq-scaled apple "succeeded: 1 failed:"
expect "left" "$(count messages job1)" 1
