#!/usr/bin/env bash
# arm64.sh: the tools for arm64, in target/arm64/bin, built with Debian sid's Rust, which is newer than ours, and under emulation.
# Each must at least say what it is. The first time, it makes that Debian in the cache, as root, which takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=${XDG_CACHE_HOME:-$HOME/.cache}/amqp-tools/debian-sid-arm64
target=aarch64-unknown-linux-gnu
bin=$PWD/target/arm64/bin
[ -e "$root" ] ||
    xtask/scripts/debian.sh sid "$root" cargo gcc libc6-dev libstd-rust-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user

# The crates are vendored out here: they can't always be downloaded in there.
rm -rf "$root/build/.cargo" "$root/build/src" "$root/build/vendor"
mkdir -p "$root/build/.cargo"
cp -a Cargo.lock Cargo.toml packaging simulator src testbroker tests xtask "$root/build"
cargo vendor --quiet --locked --versioned-dirs "$root/build/vendor" >/dev/null
printf '%s\n' '[source.crates-io]' 'replace-with = "vendored"' '[source.vendored]' 'directory = "vendor"' >"$root/build/.cargo/config.toml"
chroot "$root" env CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    RUSTFLAGS='-Ctarget-feature=+crt-static -Clink-arg=/build/target/resolver.o' \
    sh -euc "cd /build
        mkdir -p target
        aarch64-linux-gnu-gcc -O2 -c -o target/resolver.o packaging/resolver.c
        rustc --version
        cargo build --quiet --offline --locked --release --package amqp-tools --bin amqp-tools --features multi-call --target $target"

# Scripts in place of the links of a release: the emulator replaces the name by which a program was called.
rm -rf "$bin"
mkdir -p "$bin"
cp "$root/build/target/$target/release/amqp-tools" target/arm64/
for tool in $(xtask/scripts/names.sh); do
    printf '#!/bin/sh\nexec %q -0 %s %q "$@"\n' "$root/usr/bin/qemu-aarch64" "$tool" "$PWD/target/arm64/amqp-tools" >"$bin/$tool"
    chmod 755 "$bin/$tool"
    "$bin/$tool" --version
done
