# The commands as images:
#
#   tools    nothing but the tools (one static binary under all their names) and CA certificates, for COPY --from=
#   worker   Debian with the tools in /usr/bin: FROM it, add a script, name the command
#   debug    worker with a shell's comforts, for a pod to look around from
#
#   docker build --target worker -t amqp-tools:worker .
#
# With BuildKit, `--platform linux/arm64` or `linux/amd64` builds for that platform. The compiler runs on the machine's own platform.
# worker and debug run commands in images of the other platform, and need its emulation.

# The classic builder names no platforms, and builds for the machine's own.
FROM --platform=${BUILDPLATFORM:-linux} rust:1-bookworm AS builder
ARG TARGETARCH
WORKDIR /build
# /arch has the processor's name in target triples. For another one than the machine's, a C compiler and Rust's standard library for it
# are installed.
RUN case "$TARGETARCH" in \
        amd64) arch=x86_64 ;; \
        arm64) arch=aarch64 ;; \
        "") arch=$(uname -m) ;; \
        *) echo "no build for $TARGETARCH" >&2 && exit 1 ;; \
    esac \
    && echo "$arch" >/arch \
    && if [ "$arch" != "$(uname -m)" ]; then \
        apt-get -o Acquire::Retries=3 update \
        && apt-get -o Acquire::Retries=3 install -y --no-install-recommends \
            "gcc-$(echo "$arch" | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross" \
        && rm -rf /var/lib/apt/lists/* \
        && rustup target add "$arch-unknown-linux-gnu"; \
    fi
COPY packaging/resolver.c packaging/
RUN "$(cat /arch)-linux-gnu-gcc" -O2 -c -o /resolver.o packaging/resolver.c
# A target that is named keeps these flags away from build scripts and procedural macros, which can't be static.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=/resolver.o" \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc
# The dependencies, on their own, with an empty library: a layer that stays until Cargo.lock changes.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY simulator/Cargo.toml simulator/
COPY testbroker/Cargo.toml testbroker/
COPY xtask/Cargo.toml xtask/
RUN mkdir -p src/bin simulator/src testbroker/src tests/it xtask/src \
    && touch src/lib.rs simulator/src/lib.rs testbroker/src/lib.rs tests/it/main.rs \
    && echo 'fn main() {}' | tee src/bin/amqp-tools.rs simulator/src/main.rs >xtask/src/main.rs \
    && cargo build --locked --release --package amqp-tools --lib --target "$(cat /arch)-unknown-linux-gnu"
COPY src src
# COPY keeps the files' own times, and cargo rebuilds what is newer than its last build. One binary is all tools. It runs without a C
# library or a shell beside it, or the build ends here. A binary for another platform is not run.
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --locked --release --package amqp-tools --bin amqp-tools --features multi-call \
        --target "$(cat /arch)-unknown-linux-gnu" \
    && mkdir -p /out/usr/bin \
    && cp target/*/release/amqp-tools /out/usr/bin/ \
    && for tool in publish consume get declare-queue delete-queue declare-exchange delete-exchange call move; do ln -s amqp-tools "/out/usr/bin/amqp-$tool"; done \
    && if [ "$(cat /arch)" = "$(uname -m)" ]; then chroot /out /usr/bin/amqp-publish --version; fi

FROM scratch AS tools
COPY --from=builder /out/ /
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/

# A user without rights, in numbers, so that Kubernetes' runAsNonRoot can see it.
FROM debian:bookworm-slim AS user
RUN useradd --uid 10001 --create-home --shell /bin/bash worker
USER 10001:10001
WORKDIR /home/worker

FROM user AS worker
COPY --from=tools /usr/bin/ /usr/bin/
COPY --from=tools /etc/ssl/certs/ /etc/ssl/certs/
RUN for tool in publish consume get declare-queue delete-queue declare-exchange delete-exchange call move; do "amqp-$tool" --version || exit; done

# Before the tools come in: this layer stays when they change.
FROM user AS comforts
USER 0:0
RUN apt-get -o Acquire::Retries=3 update \
    && apt-get -o Acquire::Retries=3 install -y --no-install-recommends \
        bash-completion ca-certificates curl dnsutils jq python3 \
    && rm -rf /var/lib/apt/lists/* \
    && echo '. /usr/share/bash-completion/bash_completion' >>/etc/bash.bashrc
USER 10001:10001

FROM comforts AS debug
COPY --from=tools /usr/bin/ /usr/bin/
COPY completions/bash/ /usr/share/bash-completion/completions/
RUN for tool in publish consume get declare-queue delete-queue declare-exchange delete-exchange call move; do "amqp-$tool" --version || exit; done
CMD ["bash"]
