#!/usr/bin/env bash
# reference.sh ROOT FOLDER: programs in FOLDER that run the amqp-tools of the Debian in ROOT. They use its libraries and its dynamic
# linker, without a chroot, so that the commands that they start are this machine's.
set -euo pipefail
root=$1 folder=$2
libraries=$(echo "$root"/usr/lib/*-linux-gnu)
linker=$(echo "$libraries"/ld-linux*)
[ -x "$linker" ] || { echo "no dynamic linker in $libraries" >&2 && exit 1; }
mkdir -p "$folder"
for tool in amqp-{consume,declare-queue,delete-queue,get,publish}; do
    printf '#!/bin/sh\nexec %q --argv0 %s --library-path %q %q "$@"\n' "$linker" "$tool" "$libraries" "$root/usr/bin/$tool" >"$folder/$tool.$$"
    chmod 755 "$folder/$tool.$$"
    mv "$folder/$tool.$$" "$folder/$tool" # in one step, since another run may be using it
done
