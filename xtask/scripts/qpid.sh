#!/usr/bin/env bash
# qpid.sh RELEASE FOLDER: Apache Qpid Broker-J in FOLDER, by Maven; complete or not at all.
set -euo pipefail
release=$1 folder=$2
"$(dirname "$0")/install.sh" default-jre-headless java
[ ! -e "$folder" ] || exit 0
"$(dirname "$0")/install.sh" maven mvn
echo "fetching Apache Qpid $release into $folder"
mkdir -p "$(dirname "$folder")"
making=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$making"' EXIT
cd "$making" # Maven reads a pom.xml where it is started
mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:2.8:copy \
    -Dartifact="org.apache.qpid:apache-qpid-broker-j:$release:tar.gz:bin" -DoutputDirectory="$making" >&2
mkdir unpacked
tar --extract --strip-components=2 --directory=unpacked --file="apache-qpid-broker-j-$release-bin.tar.gz"
mv --no-target-directory unpacked "$folder"
