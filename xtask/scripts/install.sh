#!/bin/sh
# install.sh PACKAGE [PROGRAM]: the Debian package, unless the program is there already. Only its files are installed: no service
# is started or enabled.
set -eu
package=$1
! command -v "${2:-$1}" >/dev/null || exit 0
export DEBIAN_FRONTEND=noninteractive
command -v apt-get >/dev/null || { echo "install the Debian package $package" >&2 && exit 1; }
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "sudo apt-get install $package: not root, and there is no sudo" >&2 && exit 1; }
    # Without a terminal, sudo must not ask for a password.
    [ -t 1 ] || no_password=-n
    exec sudo ${no_password-} "$0" "$@"
fi
echo "installing $package" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
apt-get update -q >&2 || echo 'apt-get update failed; going on with the package lists there are' >&2
apt-get install -q -y --no-install-recommends "$package" >&2
case $package in
    rabbitmq-server) units='rabbitmq-server epmd.socket' ;;
    prometheus) units=prometheus ;;
    *) exit ;;
esac
# shellcheck disable=SC2086
! command -v systemctl >/dev/null || systemctl disable $units >&2 || true
