"""The cluster, its clients' way to it, and the folder with all that is written down."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

from forwarder import Forwarder


class Node:
    """One RabbitMQ node with a forwarder in front of it."""

    def __init__(self, number, place):
        self.number = number
        self.port, self.process = (int(part) for part in place.split(":"))
        self.forwarder = Forwarder(self.port)
        self.direct = f"amqp://guest:guest@127.0.0.1:{self.port}"

    def kill(self):
        os.kill(self.process, signal.SIGKILL)

    def stop(self):
        os.kill(self.process, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process, signal.SIGCONT)

    def start(self):
        """Has it started again; it is ready later."""
        print(f"start {self.number}", flush=True)
        self.process = int(input())

    def await_ready(self, patience=180):
        deadline = time.time() + patience
        while not self._answers():
            if time.time() > deadline:
                raise RuntimeError(f"node {self.number} does not answer")
            time.sleep(0.1)

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as one:
            one.settimeout(5)
            one.sendall(b"AMQP\x00\x00\x09\x01")
            return one.recv(1) == b"\x01"
        return False


class World:
    def __init__(self, tools, places, folder):
        self.tools, self.folder = tools, folder
        self.nodes = [Node(number, place) for number, place in enumerate(places)]
        self.url = ",".join(node.forwarder.url for node in self.nodes)
        self.direct = ",".join(node.direct for node in self.nodes)
        self.journal = open(folder / "log", "a", buffering=1, encoding="utf-8")

    def log(self, line):
        self.journal.write(line + "\n")

    def spawn(self, command, name, url=None, **streams):
        """A tool with all nodes' URLs; its commands find its name in NAME."""
        environment = {**os.environ, "AMQP_URL": url or self.url, "NAME": name}
        return subprocess.Popen(
            [self.tools / command[0], *command[1:]],
            **{"stdin": subprocess.DEVNULL, **streams},
            env=environment,
            cwd=self.folder,
            text=True,
        )

    def ask(self, *command, url=None, input=None, statuses=(0,)):
        """What a tool prints that runs once, and its status; by default, past the forwarders."""
        process = self.spawn(
            command,
            command[0],
            url or self.direct,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = process.communicate(input)
        self.log(f"{time.time():.3f} {' '.join(map(str, command))}: {process.returncode} {err.rstrip()}")
        if statuses and process.returncode not in statuses:
            raise RuntimeError(f"{' '.join(map(str, command))}: {process.returncode}: {err}")
        return out, process.returncode

    def depth(self, queue):
        """How many messages are ready there, as far as the broker tells."""
        out, _ = self.ask("amqp-declare-queue", "--retry", "60s", "--passive", "--json", "-q", queue)
        return json.loads(out)["messages"]

    def bodies(self, queue):
        """Takes all messages out of a queue, and gives their bodies."""
        out, _ = self.ask("amqp-consume", "--retry", "60s", "-q", queue, "--idle-timeout", "0s", "--json")
        return [json.loads(line)["body"].strip() for line in out.splitlines()]
