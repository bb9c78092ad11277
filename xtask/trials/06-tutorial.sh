#!/usr/bin/env bash
# the tutorial's lines work as pasted into the debug pod: on the standard input of its shell
. "$(dirname "$0")/lib.sh"
tools "amqp-delete-queue -q foo; amqp-delete-queue -q job1"
pod=$(create --interactive amqp-tools:debug)
printed=$({
    echo nslookup rabbitmq-service
    echo 'env | grep RABBITMQ_SERVICE | grep HOST'
    cat xtask/trials/tutorial.txt
} | docker start --attach --interactive "$pod" 2>/dev/null)
[[ $printed == *"Name:"$'\t'"rabbitmq-service.$domain"* ]] || { echo "nslookup: $printed" && exit 1; }
expect printed "$(tail -n 3 <<<"$printed")" $'RABBITMQ_SERVICE_SERVICE_HOST=rabbitmq-service\nfoo\nHellojob1'
tutorial_is_done
