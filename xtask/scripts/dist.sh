#!/usr/bin/env bash
# What is handed out: a tarball with the tools, their manuals and completions, the Debian package, and checksums. The tools
# are one static binary, and links to it.
#
#   dist.sh                        all of it, in target/dist
#   dist.sh tools FOLDER           the binary and the tools' names alone
#   dist.sh package BINARY FOLDER  the Debian package of that binary
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
cargo_deb=3.8.0

# Builds the static binary as the Dockerfile does, and says where it is.
build() {
    local host
    host=$(rustc --print host-tuple)
    mkdir -p target
    cc -O2 -c -o target/resolver.o packaging/resolver.c
    # A target that is named keeps the flags away from build scripts and procedural macros, which can't be static.
    CARGO_ENCODED_RUSTFLAGS=$(printf -- '-Ctarget-feature=+crt-static\x1f-Clink-arg=%s' "$PWD/target/resolver.o") \
        cargo build --locked --release --package amqp-tools --bin amqp-tools --features multi-call --target "$host" >&2
    echo "target/$host/release/amqp-tools"
}

# The binary and the tools' names, in a new folder. Each of them must at least say what it is.
lay_out() {
    rm -rf "$2"
    mkdir -p "$2"
    cp "$1" "$2/amqp-tools"
    local tool
    for tool in $(xtask/scripts/names.sh); do
        ln -s amqp-tools "$2/$tool"
        "$2/$tool" --version >/dev/null
    done
}

# amqp-tools-VERSION-ARCHITECTURE-linux.tar.gz: the same bytes for the same commit and toolchain.
tarball() {
    local name
    name=amqp-tools-$version-$(uname -m)-linux
    rm -rf "target/dist/$name"
    lay_out "$1" "target/dist/$name/bin"
    cp -r README.md LICENSE-APACHE LICENSE-MIT docs man completions "target/dist/$name"
    tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="$(git log -1 --format=@%ct)" \
        --use-compress-program='gzip --best --no-name' --create --file="target/dist/$name.tar.gz" \
        --directory=target/dist "$name"
    rm -r "target/dist/$name"
    echo "target/dist/$name.tar.gz"
}

# The Debian package, as Cargo.toml describes it. cargo-deb takes binaries from a target folder's release/.
package() {
    local stage
    if [ ! -x target/cargo-deb/bin/cargo-deb ]; then
        # Optimising it takes longer than it ever runs.
        cargo install --debug --quiet --locked cargo-deb --version "$cargo_deb" --root target/cargo-deb >&2
    fi
    stage=$(mktemp --directory)
    lay_out "$1" "$stage/release"
    CARGO_TARGET_DIR=$stage target/cargo-deb/bin/cargo-deb deb --no-build --no-strip --quiet --output "$2"
    rm -r "$stage"
}

case ${1-} in
tools)
    binary=$(build)
    lay_out "$binary" "$2"
    ;;
package) package "$2" "$3" ;;
*)
    binary=$(build)
    mkdir -p target/dist
    archive=$(tarball "$binary")
    package=$(package "$binary" target/dist)
    (cd target/dist && sha256sum "$(basename "$archive")" "$(basename "$package")" >SHA256SUMS)
    printf '%s\n' "$archive" "$package" target/dist/SHA256SUMS
    ;;
esac
