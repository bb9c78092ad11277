#!/usr/bin/env bash
# docker stop, as Kubernetes stops a pod: an idle worker ends at once, a busy one finishes its task and takes no other
. "$(dirname "$0")/lib.sh"
fill idle
id=$(create amqp-tools:worker amqp-consume -q idle -c 1 cat)
docker start "$id"
until_it consumers_are idle 1
docker stop --time 60 "$id"
expect "an idle worker's exit status" "$(docker wait "$id")" 143 # 137, had it been waited for in vain

fill busy first second
id=$(create amqp-tools:worker amqp-consume -q busy sh -c \
    "cat; echo ' began'; while test ! -e /tmp/go; do sleep 0.1; done; echo done")
docker start "$id"
until_it prints "$id" "first began"
docker stop --time 60 "$id" &
until_it consumers_are busy 0 # SIGTERM has arrived, and the worker takes no more
docker exec "$id" touch /tmp/go
wait
expect "a busy worker's exit status" "$(docker wait "$id")" 143
expect "what it printed" "$(docker logs "$id" 2>/dev/null)" $'first began\ndone'
expect "left" "$(count messages busy)" 1
