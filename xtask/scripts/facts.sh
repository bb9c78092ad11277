#!/usr/bin/env bash
# facts.sh TOOLS: what a benchmark ran on and compared, with versions and sizes; a line each for the page. TOOLS is the static binary.
set -euo pipefail
. /etc/os-release
processor=$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-)
mapfile -t libraries < <(ldd /usr/bin/amqp-publish | grep -oE '/[^ ]*(rabbitmq|popt)[^ ]*')
reference=$(du -Lck /usr/bin/amqp-[cdgp]* "${libraries[@]}" | tail -n 1 | cut -f1)
echo "* machine:$processor, $(nproc) processors, $(uname -srm), $PRETTY_NAME"
echo "* this project: $(git describe --always --dirty); all tools, static: $(($(stat -c %s "$1") / 1024)) KiB"
echo "* amqp-tools (reference): $(dpkg-query -Wf='${Version}' amqp-tools); five tools, librabbitmq, libpopt: $reference KiB, without OpenSSL"
