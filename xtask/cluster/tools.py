"""The tools at work: each is started again when a fault has ended it, and what it says and how it ends is written down."""

import re
import signal
import subprocess
import threading
import time

RECONNECT = re.compile(r"connecting (again|anew)")
QUICK = ["--heartbeat", "2", "--connect-timeout", "3s"]  # so that a silent node is given up after 4 s
PATIENT = [*QUICK, "--retry", "5m"]


class Tool:
    """A tool that runs until it is told to end."""

    def __init__(self, name, command, world):
        self.name, self.command, self.world = name, command, world
        self.breaks = []  # when its connection was lost, or it was killed
        self.wrong = []
        self.ends = []
        self.asked = None
        self.over = threading.Event()
        self.process = None
        self.lock = threading.Lock()
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def send(self, number):
        """Ends the present process by that signal; another one follows."""
        with self.lock:
            if self.process and self.process.poll() is None:
                self.asked = number
                if number == signal.SIGKILL:
                    self.breaks.append(time.time())
                self.process.send_signal(number)

    def finish(self, patience=60):
        """Ends it for good."""
        self.over.set()
        self.send(signal.SIGTERM)
        self.thread.join(patience)
        if not self.ended:
            self.wrong.append(f"{self.name} does not end")
            self.process.kill()

    def complete(self, patience=20):
        """Waits for its end with status 0."""
        self.thread.join(patience)
        if not self.ended:
            self.wrong.append(f"{self.name} is not complete")
            self.finish()

    def _run(self):
        while True:
            with self.lock:
                self.asked = None
                self.process = self.world.spawn(self.command, self.name, stderr=subprocess.PIPE)
            for line in self.process.stderr:
                now = time.time()
                self.world.log(f"{now:.3f} {self.name}: {line.rstrip()}")
                if RECONNECT.search(line):
                    self.breaks.append(now)
            if self._judge(self.process.wait()):
                break
        self.ended = True

    def _judge(self, status):
        """Whether that was its last process."""
        self.ends.append(status)
        self.world.log(f"{time.time():.3f} {self.name}: ended with {status}")
        killed = self.asked == signal.SIGKILL and status == -signal.SIGKILL
        terminated = self.asked == signal.SIGTERM and status == 128 + signal.SIGTERM
        complete = self.name == "amqp-publish" and status == 0
        if not (killed or terminated or complete):
            self.wrong.append(f"{self.name} ended with {status}, sent to it: {self.asked}")
            time.sleep(0.5)
        return complete or self.over.is_set()


class Calls:
    """amqp-call, again and again."""

    def __init__(self, world):
        self.world = world
        self.made = []  # begin, end, status, whether the reply is right
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def finish(self):
        self.over.set()
        self.thread.join()

    def _run(self):
        number = 0
        while not self.over.wait(0.3):
            number += 1
            body = f"request {number}"
            command = ["amqp-call", *QUICK, "--retry", "20s", "-r", "calls", "--timeout", "20s", "-b", body]
            begin = time.time()
            process = self.world.spawn(command, "amqp-call", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = process.communicate()
            right = out == body.upper() if process.returncode == 0 else out == ""
            self.made.append((begin, time.time(), process.returncode, right))
            if process.returncode or not right:
                self.world.log(f"{begin:.3f} amqp-call: {process.returncode} {out!r} {err.rstrip()}")
