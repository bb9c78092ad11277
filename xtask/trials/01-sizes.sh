#!/usr/bin/env bash
# the images keep within their sizes: tools below 12 MiB, worker at most 15 MiB above its base
. "$(dirname "$0")/lib.sh"
size() {
    docker image inspect --format '{{.Size}}' "$1"
}
tools=$(size amqp-tools:tools)
added=$(($(size amqp-tools:worker) - $(size debian:bookworm-slim)))
echo "note: tools $tools bytes, worker $added bytes above its base"
[ "$tools" -lt $((12 << 20)) ]
[ $added -le $((15 << 20)) ]
