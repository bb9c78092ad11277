#!/bin/sh
# The Debian mirror that DEBIAN_MIRROR names, or else the one among apt's sources that serves this Debian. Others have packages
# for it too, under the same name of the suite; Debian alone has updates beside them, and a path that ends in /debian.
set -eu
[ -z "${DEBIAN_MIRROR-}" ] || { echo "$DEBIAN_MIRROR" && exit; }
. /etc/os-release
for serves in "[^' ]*/dists/$VERSION_CODENAME-updates/" "[^' ]*/debian/*/dists/$VERSION_CODENAME/"; do
    apt-get --print-uris update | grep -oE "^'(https?://|file:/)$serves" | sed "s,^',,; s,dists/.*,," | grep -m1 . && exit
done
echo "no Debian mirror among apt's sources; DEBIAN_MIRROR can name one" >&2
exit 1
