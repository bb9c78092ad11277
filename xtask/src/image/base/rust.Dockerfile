# Stands in for rust:1-bookworm: this machine's toolchain on Debian.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
COPY bin/ /usr/local/bin/
COPY lib/ /usr/local/lib/
RUN cargo --version && rustc --version
