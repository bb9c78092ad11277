#!/usr/bin/env bash
# bases.sh IMAGE...: the base images, under the names that the Dockerfiles use: pulled where a registry can be reached, else made
# here from Debian's packages and this machine's Rust toolchain. And a look whether containers reach Debian's packages.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

# A minimal Debian, without package lists, manuals and documentation, as the slim images are.
debian() {
    # debootstrap waits for ever for a mirror that does not answer.
    timeout --kill-after=10s 20m debootstrap --variant=minbase "$1" "$work/$1" "$(../scripts/mirror.sh)" >&2
    tar --create --directory "$work/$1" --exclude={./usr/share/doc,./usr/share/man,./var/cache/apt,./var/lib/apt/lists}/'*' \
        --exclude='./var/log/*.log' --exclude='./dev/*' . | docker import --change 'CMD ["bash"]' - "debian:$1-slim" >&2
}

# Stands in for rust:1-bookworm.
rust() {
    local sysroot
    sysroot=$(rustc --print sysroot)
    mkdir -p "$work/rust/bin"
    cp -a "$sysroot"/bin/{cargo,rustc,rustdoc} "$work/rust/bin"
    cp -a "$sysroot/lib" "$work/rust"
    docker build --quiet --tag rust:1-bookworm --file - "$work/rust" >&2 <<'EOF'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
COPY bin/ /usr/local/bin/
COPY lib/ /usr/local/lib/
RUN cargo --version && rustc --version
EOF
}

# Stands in for rabbitmq:4: Debian's package of the same server, started the same way.
rabbitmq() {
    docker build --quiet --tag rabbitmq:4 - >&2 <<'EOF'
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/mnesia /var/log/rabbitmq/* && mkdir -p /etc/rabbitmq/conf.d \
    && usermod --uid 999 rabbitmq && groupmod --gid 999 rabbitmq && chown -R 999:999 /var/lib/rabbitmq /var/log/rabbitmq
ENV PATH=/usr/lib/rabbitmq/bin:$PATH HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
VOLUME /var/lib/rabbitmq
USER rabbitmq
WORKDIR /var/lib/rabbitmq
EXPOSE 5672
CMD ["rabbitmq-server"]
EOF
}

for image in "$@"; do
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null 2>&1 && continue
    echo "making $image"
    case $image in
    debian:*-slim) suite=${image#debian:} && debian "${suite%-slim}" ;;
    rust:*) rust ;;
    rabbitmq:*) rabbitmq ;;
    esac
done
docker network rm amqp-tools-attempt >/dev/null 2>&1 || true # left by an attempt that was broken off
docker network create amqp-tools-attempt >/dev/null
docker run --rm --network amqp-tools-attempt debian:bookworm-slim \
    apt-get update -qq --option=APT::Update::Error-Mode=any >&2 && reached=yes
docker network rm amqp-tools-attempt >/dev/null
[ "${reached-}" = yes ]
