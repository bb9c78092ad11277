#!/usr/bin/env bash
# notes.sh TAG: what the CHANGELOG says of that release, for a tag vVERSION that names the version of Cargo.toml.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=${1#v}
declared=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
[ "$1" = "v$declared" ] || { echo "the tag is $1, but Cargo.toml says version $declared" >&2 && exit 1; }
notes=$(awk -v "version=$version" '/^## /{found = $2 == version; next} found' CHANGELOG.md)
[ -n "$notes" ] || { echo "CHANGELOG.md has no section $version" >&2 && exit 1; }
echo "$notes"
