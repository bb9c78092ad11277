#!/usr/bin/env bash
# every kind of name is found, whatever nsswitch.conf says: a static program leaves its modules alone, it would die of them
. "$(dirname "$0")/lib.sh"
address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $label-broker)
id=$(create --add-host="broker.example:$address" debian:trixie-slim sleep infinity)
docker start "$id"
# Each of these packages puts its module into nsswitch.conf, before DNS.
docker exec --env DEBIAN_FRONTEND=noninteractive "$id" sh -euc "
apt-get -qq -o Acquire::Retries=3 update
apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends \
    libnss-mdns libnss-myhostname libnss-mymachines libnss-resolve
grep -q '^hosts:.*mdns4_minimal.*resolve.*dns' /etc/nsswitch.conf"
image=$(create amqp-tools:tools /usr/bin/amqp-get --version)
docker cp "$image:/usr/bin/." - | docker cp - "$id:/usr/bin/"

# By the search list, in full with and without the dot that ends a search, by Docker's own name, from /etc/hosts, by address.
own=$(docker inspect --format '{{.Id}}' $label-broker | cut -c1-12)
for name in rabbitmq-service rabbitmq-service.$domain rabbitmq-service.$domain. "$own" broker.example "$address"; do
    expect "the broker as $name" "$(docker exec "$id" amqp-declare-queue "--url=amqp://guest:guest@$name" -d names)" names
done
expect "messages" "$(count messages names)" 0

# A name that nobody knows is an error that says so, and so is one of multicast DNS, where nobody answers.
for name in no-such-service printer.local; do
    printed=$(docker exec "$id" sh -c "unset AMQP_URL; amqp-get -s $name -q names 2>&1; echo status \$?")
    [[ $printed == "opening socket to $name:5672: "*$'\nstatus 1' ]] || { echo "$name: $printed" && exit 1; }
done
