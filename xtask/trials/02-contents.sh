#!/usr/bin/env bash
# the tools image holds the tools, certificates and nothing else
. "$(dirname "$0")/lib.sh"
id=$(create amqp-tools:tools /usr/bin/amqp-get --version)
# Without folders, and what Docker lays into every container.
files=$(docker export "$id" | tar -t |
    grep -vE '/$|^(\.dockerenv|dev/console|etc/(hostname|hosts|mtab|resolv\.conf))$' | LC_ALL=C sort)
expect "in it" "$files" "etc/ssl/certs/ca-certificates.crt
$( (xtask/scripts/names.sh; echo amqp-tools) | sed 's,^,usr/bin/,')"
