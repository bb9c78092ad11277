#!/usr/bin/env bash
# the Debian package takes the place of amqp-tools in Debian 12 and 13, gives it back, and leaves nothing behind
. "$(dirname "$0")/lib.sh"
packages=$(mktemp --directory --tmpdir="$TRIALS_FOLDER")
# The tools image's binary: packaged is what was tried.
docker cp "$(create amqp-tools:tools /usr/bin/amqp-get --version):/usr/bin/amqp-tools" "$packages/amqp-tools"
xtask/scripts/dist.sh package "$packages/amqp-tools" "$packages"
chmod 755 "$packages"

for debian in bookworm trixie; do
    id=$(create --volume="$packages:/packages:ro" --env DEBIAN_FRONTEND=noninteractive debian:$debian-slim sleep infinity)
    docker start "$id"
    files=$(docker exec "$id" sh -euc '
        apt-get -qq -o Acquire::Retries=3 update
        apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends amqp-tools
        if amqp-publish --version; then exit 1; fi
        apt-get -qq install -y --no-install-recommends /packages/*.deb
        status() { dpkg-query --show --showformat="\${db:Status-Status}" "$1"; }
        test "$(status amqp-tools-rs)" = installed
        test "$(status amqp-tools)" != installed
        apt-get check
        for tool in '"$(xtask/scripts/names.sh | xargs)"'; do $tool --version; done
        dpkg --listfiles amqp-tools-rs')
    # The tools, each with its page and its completions, and what explains them.
    for tool in $(xtask/scripts/names.sh); do
        for file in /usr/bin/$tool /usr/share/man/man1/$tool.1.gz \
            /usr/share/{bash-completion/completions/$tool,fish/vendor_completions.d/$tool.fish} \
            /usr/share/zsh/vendor-completions/_$tool \
            /usr/share/man/man7/amqp-tools.7.gz /usr/share/doc/amqp-tools-rs/copyright; do
            grep --quiet --line-regexp "$file" <<<"$files" || { echo "$file is missing: $files" && exit 1; }
        done
    done

    tools "amqp-delete-queue -q foo; amqp-delete-queue -q job1"
    expect "the tutorial" "$(docker exec -i "$id" sh -eu <xtask/trials/tutorial.txt 2>/dev/null)" $'foo\nHellojob1'
    tutorial_is_done

    # An administrator thinks better of it, and better again.
    left=$(docker exec "$id" sh -euc '
        exec 3>&1 >/dev/null
        apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends amqp-tools
        test "$(dpkg-query --show --showformat="\${db:Status-Status}" amqp-tools-rs)" != installed
        if amqp-publish --version; then exit 1; fi
        apt-get -qq install -y --no-install-recommends /packages/*.deb
        amqp-publish --version
        apt-get -qq purge -y amqp-tools-rs
        find /usr /etc /var/lib -name "*amqp-tools-rs*" -o -name "*amqp-publish*" >&3')
    expect "left after purging" "$left" ""
done
