"""What a confirm and an acknowledgement are worth when the queue's leader is killed at once after them.

Each takes a queue of its own, whose leader is known: that of a quorum queue starts on the node where it is declared with
`x-queue-leader-locator=client-local`. A forwarder sees the method pass and kills the leader before its client has the answer.
"""

import contextlib
import itertools
import json
import time
from collections import Counter

from forwarder import BASIC_ACK, CANCEL_OK, Forwarder, Trap

MESSAGES = 40
NAMES = (f"leader-{number}" for number in itertools.count(1))
BODIES = [str(number) for number in range(1, MESSAGES + 1)]


@contextlib.contextmanager
def trial(world, dice, direction, method, at):
    """A queue, and the URL of a node by which its leader is killed when the method passes there."""
    leader, client = dice.choice(world.nodes), dice.choice(world.nodes)
    queue = next(NAMES)
    kind = ["--queue-type", "quorum", "-a", "x-queue-leader-locator=client-local"]
    world.ask("amqp-declare-queue", "-d", *kind, "-q", queue, url=leader.direct)
    forwarder = Forwarder(client.port, Trap(direction, method, at, leader.kill))
    trap = forwarder.trap
    where = "the leader's node" if client is leader else "another node"

    def left(expected):
        """What is in the queue. A dead node's consumers keep what they had until it is back, or for a minute."""
        revive(leader, trap)
        there, deadline = set(), time.time() + 90
        while True:
            there |= set(world.bodies(queue))
            if expected <= there or time.time() > deadline:
                return there

    yield queue, forwarder.url, trap, where, left
    forwarder.close()
    if not trap.sprung:
        world.wrong.append(f"{queue}: {method!r} did not pass {at} times")
    world.ask("amqp-delete-queue", "--retry", "60s", "-q", queue)


def revive(leader, trap):
    if not trap.sprung:
        leader.kill()
    leader.start()
    leader.await_ready()


def confirms(world, dice):
    """A publisher sends one message after the other, without --retry, and the leader dies as a confirm passes."""
    with trial(world, dice, "down", BASIC_ACK, dice.randint(1, MESSAGES)) as (queue, url, _, where, left):
        command = ["amqp-publish", "-r", queue, "-p", "-l", "--chomp", "--max-in-flight", "1", "--json", "--heartbeat", "2"]
        out, status = world.ask(*command, url=url, input="\n".join(BODIES), statuses=())
        confirmed = json.loads(out)["confirmed"]
        lost = set(BODIES[:confirmed]) - left(set(BODIES[:confirmed]))
        count(world, "confirmed", where, status, messages=confirmed, lost=len(lost))
        if lost or (status == 0) != (confirmed == MESSAGES):
            world.wrong.append(f"{queue}: status {status}, {confirmed} confirmed, lost: {sorted(lost)}")


def cancelled(world, dice):
    """A worker has acknowledged all, and the leader dies as the broker answers the cancellation of its consumer."""
    acknowledged(world, dice, "acknowledged, consumer cancelled", ["--idle-timeout", "1s"], ("down", CANCEL_OK, 1))


def sent(world, dice):
    """The leader dies when the broker has been sent an acknowledgement, which may be the last one before the end."""
    at = MESSAGES - dice.choice([0, dice.randrange(MESSAGES)])
    acknowledged(world, dice, "acknowledged", ["-c", str(MESSAGES)], ("up", BASIC_ACK, at))


def acknowledged(world, dice, title, end, trap):
    """What is there at the end of all that was acknowledged before, is done twice: nothing else tells the broker that it is done."""
    with trial(world, dice, *trap) as (queue, url, sprung, where, left):
        world.ask("amqp-publish", "-r", queue, "-p", "-l", "--chomp", input="\n".join(BODIES))
        command = ["amqp-consume", "-q", queue, *end, "-j", "4", "--heartbeat", "2", "sh", "-c", 'echo "$(cat)"']
        out, status = world.ask(*command, url=url, statuses=())
        done = set(out.split())
        there = left(set(BODIES) - done)
        certain = sprung.method == CANCEL_OK
        messages = MESSAGES if certain else sprung.seen
        returned = max(0, len(there) - (MESSAGES - messages))
        count(world, title, where, status, messages=messages, returned=returned)
        lost = set(BODIES) - done - there
        if lost or (certain and there):
            world.wrong.append(f"{queue}: status {status}, {len(there)} there, lost: {sorted(lost)}")


def count(world, title, where, status, **numbers):
    """One more round that ended so."""
    total = world.leaders.setdefault((title, where, status), Counter())
    total.update(rounds=1, **numbers)
