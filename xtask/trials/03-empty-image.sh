#!/usr/bin/env bash
# a tool in an empty image finds the broker by its short name: a static binary's resolver must know search domains
. "$(dirname "$0")/lib.sh"
tools "amqp-delete-queue -q scratch"
printed=$(run amqp-tools:tools /usr/bin/amqp-declare-queue --url=$BROKER_URL -d scratch)
expect printed "$printed" scratch
expect "messages" "$(count messages scratch)" 0
