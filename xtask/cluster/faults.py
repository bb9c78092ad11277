"""The faults. Each is made, lasts a while, and is over before the next one."""

import signal
import time

from leader import cancelled, confirms, sent


def kill(world, dice):
    """A node dies, as by a power cut, and is started again."""
    node = dice.choice(world.nodes)
    node.kill()
    time.sleep(dice.uniform(0.5, 5))
    node.start()
    node.await_ready()


def kill_two(world, dice):
    """Without a majority nothing is confirmed and nothing delivered."""
    nodes = dice.sample(world.nodes, 2)
    for node in nodes:
        node.kill()
    time.sleep(dice.uniform(0.5, 3))
    for node in nodes:
        node.start()
    for node in nodes:
        node.await_ready()


def stop(world, dice):
    """A node stands still, with all its connections open."""
    node = dice.choice(world.nodes)
    node.stop()
    time.sleep(dice.uniform(0.5, 12))
    node.go_on()


def cut(world, dice):
    """A node's clients are thrown out, and it takes no new ones."""
    node = dice.choice(world.nodes)
    node.forwarder.cut()
    time.sleep(dice.uniform(0.2, 5))
    node.forwarder.heal()


def cut_all(world, dice):
    """No node can be reached."""
    for node in world.nodes:
        node.forwarder.cut()
    time.sleep(dice.uniform(0.2, 5))
    for node in world.nodes:
        node.forwarder.heal()


def hush(world, dice):
    """Nothing passes between a node and its clients; what was on its way arrives later."""
    node = dice.choice(world.nodes)
    node.forwarder.hush()
    time.sleep(dice.uniform(0.5, 8))
    node.forwarder.heal()


def kill_tool(world, dice):
    dice.choice(world.running).send(signal.SIGKILL)


def end_tool(world, dice):
    dice.choice(world.running).send(signal.SIGTERM)


# In the order of the report.
FAULTS = {
    "node killed": kill,
    "two nodes killed": kill_two,
    "node stopped": stop,
    "node's clients cut off": cut,
    "all clients cut off": cut_all,
    "node silent": hush,
    "tool killed": kill_tool,
    "tool terminated": end_tool,
    "leader killed at a confirm": confirms,
    "leader killed at an acknowledgement": sent,
    "leader killed at a cancellation": cancelled,
}


class Fault:
    def __init__(self, kind):
        self.kind = kind
        self.begin = self.end = time.time()


def make(world, dice, seconds):
    """All kinds in turn, in an order that changes, until the time is up."""
    made, deck, over = [], [], time.time() + seconds
    while time.time() < over:
        if not deck:
            deck = dice.sample(list(FAULTS), len(FAULTS))
        time.sleep(dice.uniform(0.5, 3))
        fault = Fault(deck.pop())
        made.append(fault)
        world.log(f"{fault.begin:.3f} fault: {fault.kind}")
        FAULTS[fault.kind](world, dice)
        fault.end = time.time()
        world.log(f"{fault.end:.3f} over: {fault.kind}")
    return made
