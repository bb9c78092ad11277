# The commands as images:
#
#   tools    nothing but the tools (one static binary under all their names) and CA certificates, for COPY --from=
#   worker   Debian with the tools in /usr/bin: FROM it, add a script, name the command
#   debug    worker with a shell's comforts, for a pod to look around from
#
#   docker build --target worker -t amqp-tools:worker .

FROM rust:1-bookworm AS builder
WORKDIR /build
COPY packaging/resolver.c packaging/
RUN cc -O2 -c -o /resolver.o packaging/resolver.c
# A target that is named keeps these flags away from build scripts and procedural macros, which can't be static.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=/resolver.o"
# The dependencies, on their own, with an empty library: a layer that stays until Cargo.lock changes.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY simulator/Cargo.toml simulator/
COPY testbroker/Cargo.toml testbroker/
COPY xtask/Cargo.toml xtask/
RUN mkdir -p src/bin simulator/src testbroker/src tests/it xtask/src \
    && touch src/lib.rs simulator/src/lib.rs testbroker/src/lib.rs tests/it/main.rs \
    && echo 'fn main() {}' | tee src/bin/amqp-tools.rs simulator/src/main.rs >xtask/src/main.rs \
    && cargo build --locked --release --package amqp-tools --lib --target "$(rustc --print host-tuple)"
COPY src src
# COPY keeps the files' own times, and cargo rebuilds what is newer than its last build. One binary is all tools.
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --locked --release --package amqp-tools --bin amqp-tools --features multi-call \
        --target "$(rustc --print host-tuple)" \
    && mkdir /out \
    && cp target/*/release/amqp-tools /out/ \
    && for tool in publish consume get declare-queue delete-queue declare-exchange delete-exchange call move; do ln -s amqp-tools "/out/amqp-$tool"; done

FROM scratch AS tools
COPY --from=builder /out/ /usr/bin/
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# Runs without a C library or a shell beside it, or the build ends here.
RUN ["/usr/bin/amqp-publish", "--version"]

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
