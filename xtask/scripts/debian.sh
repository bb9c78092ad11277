#!/usr/bin/env bash
# debian.sh SUITE FOLDER [PACKAGE...]: a Debian in a folder, with these packages of its suite, or else RabbitMQ and amqp-tools;
# complete or not at all. Where another run makes the same, this one waits for it.
set -euo pipefail
suite=$1 folder=$2 packages=("${@:3}")
[ ${#packages[@]} != 0 ] || packages=(rabbitmq-server amqp-tools)
if [ -z "${LOCKED-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "only root can make a Debian in a folder" >&2 && exit 1; }
    "$(dirname "$0")/install.sh" debootstrap
    MIRROR=$("$(dirname "$0")/mirror.sh")
    mkdir -p "$(dirname "$folder")"
    echo "making Debian $suite in $folder from $MIRROR"
    export LOCKED=1 MIRROR
    # debootstrap waits for ever for a mirror that does not answer. What is mounted belongs to a mount namespace of its own.
    timeout --kill-after=10s 20m flock "$folder.lock" unshare --mount --propagation private "$0" "$@" >"$folder.log" 2>&1 ||
        { echo "making Debian $suite failed: $(tail -n 1 "$folder.log") (see $folder.log)" >&2 && exit 1; }
    exit
fi
[ ! -e "$folder" ] || exit 0 # another run has made it meanwhile
making=$folder.making
rm -rf --one-file-system "$making"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$making" "$MIRROR"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$making/etc/hosts"
# The index of a mirror may be out of date.
printf 'Acquire::Check-Valid-Until "false";\nAPT::Install-Recommends "false";\n' >"$making/etc/apt/apt.conf.d/90tests"
# No service is started.
printf '#!/bin/sh\nexit 101\n' >"$making/usr/sbin/policy-rc.d"
chmod 755 "$making/usr/sbin/policy-rc.d"
mount --rbind /proc "$making/proc"
mount --rbind /dev "$making/dev"
# Packages of another architecture name it.
[[ ${packages[*]} != *:arm64* ]] || chroot "$making" dpkg --add-architecture arm64
chroot "$making" apt-get update -q
DEBIAN_FRONTEND=noninteractive chroot "$making" apt-get install -q -y "${packages[@]}"
chroot "$making" apt-get clean
rm -rf "$making"/var/lib/apt/lists/*
umount --recursive "$making/proc" "$making/dev"
mv "$making" "$folder"
