#!/usr/bin/env bash
# the worker image needs no root, no capability and no writable disk, and has no entrypoint in the way
. "$(dirname "$0")/lib.sh"
fill unprivileged hello
printed=$(run --read-only --cap-drop=ALL --security-opt=no-new-privileges amqp-tools:worker \
    sh -c 'id -u && amqp-consume -q unprivileged -c 1 cat')
expect printed "$printed" $'10001\nhello'
expect "entrypoint and user" \
    "$(docker image inspect --format '{{json .Config.Entrypoint}} {{.Config.User}}' amqp-tools:worker)" "null 10001:10001"
