#!/usr/bin/env bash
# image.sh base|build|test [--if-possible]: the container images, and trials with them.
#
#   base   make the base images that are missing here and can't be pulled
#   build  build tools, worker, debug and the tutorial's worker
#   test   build them, and try them, the manifests and the package as users would
#
# Docker's daemon is used if one runs; else one is started, and stopped again.
set -euo pipefail
cd "$(dirname "$0")/../.."
action=${1-} missing=${2-}
bases=(debian:bookworm-slim rust:1-bookworm)
case $action in
base | build) ;;
test) bases+=(debian:trixie-slim rabbitmq:4) ;;
*) sed -n '2,6s/^# *//p' "$0" >&2 && exit 1 ;;
esac
log=$(mktemp)
trap 'stop_daemon; rm -f "$log"' EXIT

stop_daemon() {
    [ -z "${daemon-}" ] || { kill "$daemon" && wait "$daemon"; } || true
}

start_daemon() {
    docker version >/dev/null 2>&1 && return
    dockerd >"$log" 2>&1 &
    daemon=$!
    for _ in $(seq 600); do
        docker version >/dev/null 2>&1 && return
        kill -0 $daemon 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

# Something from outside can't be had.
lacks() {
    if [ "$missing" = --if-possible ]; then
        echo "skipped: container images: $1: $(grep . "$log" | tail -n 1)"
        exit 0
    fi
    cat "$log" >&2
    echo "$1" >&2
    exit 1
}

# The sources with all crates beside them: vendored into `.cargo/`, which the Dockerfile copies in any case, since crates can't
# always be downloaded from inside a build.
context() {
    cp -a .cargo .dockerignore Cargo.lock Cargo.toml Dockerfile completions packaging simulator src testbroker xtask "$1"
    cargo vendor --quiet --locked --versioned-dirs "$1/.cargo/vendor" >/dev/null
    printf '%s\n' '[source.crates-io]' 'replace-with = "vendored"' '[source.vendored]' 'directory = ".cargo/vendor"' \
        >>"$1/.cargo/config.toml"
}

# The builder has a name so that its layers stay for the next time; images that lost theirs to newer ones are removed.
build() {
    local folder target
    folder=$(mktemp --directory)
    context "$folder"
    for target in builder tools worker debug; do
        echo "building amqp-tools:$target"
        docker build --quiet --label amqp-tools-image --tag "amqp-tools:$target" --target "$target" "$folder" >"$log" 2>&1 ||
            { cat "$log" >&2 && return 1; }
    done
    rm -r "$folder"
    docker build --quiet --label amqp-tools-image --tag job-wq-1:v1 k8s/worker >/dev/null
    docker image prune --force --filter label=amqp-tools-image >/dev/null
}

{ xtask/scripts/install.sh docker.io docker && xtask/scripts/install.sh docker.io dockerd; } 2>"$log" || lacks "no Docker"
xtask/scripts/install.sh debootstrap 2>"$log" || lacks "no debootstrap"
start_daemon || lacks "dockerd does not start"
log_of_daemon=$log log=$(mktemp)
xtask/trials/bases.sh "${bases[@]}" 2>"$log" || lacks "no base images"
[ "$action" != base ] || exit 0
build
[ "$action" != test ] || xtask/trials/run.sh
rm -f "$log_of_daemon"
