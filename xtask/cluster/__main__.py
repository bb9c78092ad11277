"""cluster TOOLS PORT:PROCESS,... SECONDS [SEED]: the tools' work on a cluster whose nodes fail, and what became of it.

A publisher fills `tasks`; two workers do them and fill `next`; amqp-move brings what is there to `archive`. One task in fifty
fails for good and is parked. Beside that, amqp-call asks a worker that replies. At the end, each task must be in the archive
or parked, and each exit status right. `target/cluster/` keeps what was done and said.
"""

import random
import resource
import shutil
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import faults
from book import Book, read_lines
from tools import PATIENT, Calls, Tool
from world import World

RATE = 100  # messages a second
WORK = r"""
read -r id
[ $((id % 50)) != 0 ] || exit 65
echo "$EPOCHREALTIME $AMQP_REDELIVERED $id $NAME" >>done
echo "$id"
"""
QUEUES = ["tasks", "next", "archive", "parked", "calls"]


def start(world, messages):
    """The publisher comes first in the list."""
    (world.folder / "tasks.txt").write_text("".join(f"{number}\n" for number in range(1, messages + 1)))
    (world.folder / "done").touch()
    world.ask("amqp-declare-queue", "--retry", "60s", "-d", "--queue-type", "quorum", *QUEUES)
    consume = ["amqp-consume", *PATIENT, "-j", "4"]
    worker = [*consume, "-q", "tasks", "--max-attempts", "3", "--park", "parked", "--output-queue", "next", "bash", "-c", WORK]
    publish = ["amqp-publish", *PATIENT, "-r", "tasks", "-p", "-l", "--chomp", "--checkpoint", "checkpoint"]
    world.running = [
        Tool("amqp-publish", [*publish, "--rate", str(RATE), "tasks.txt"], world),
        Tool("worker 1", worker, world),
        Tool("worker 2", worker, world),
        Tool("amqp-move", ["amqp-move", *PATIENT, "-q", "next", "-r", "archive", "--follow"], world),
        Tool("replies", [*consume, "-q", "calls", "--reply", "--on-failure", "reject", "tr", "a-z", "A-Z"], world),
    ]


def settle(world, messages):
    """Until all is published, and done or parked. Where nothing is done any more for a minute, the book finds what is missing."""
    failing, done, since = messages // 50, 0, time.time()
    while time.time() < since + 60:
        time.sleep(0.5)
        before, done = done, len({line.split(" ")[2] for line in read_lines(world.folder / "done")})
        since = time.time() if done > before else since
        if done >= messages - failing and not any(world.depth(queue) for queue in ("tasks", "next")):
            break
    time.sleep(4)  # what failed waits for its next attempt
    world.running[0].complete()
    for tool in world.running[1:]:
        tool.finish()


def report(world, book, calls):
    print(f"{'':40}times   no message done     a worker idle")
    for kind in faults.FAULTS:
        if pauses := book.pauses(kind):
            columns = [f"{statistics.median(part):5.1f} s, {max(part):5.1f} s" for part in zip(*pauses)]
            print(f"{kind:40}{len(pauses):5}   {'   '.join(columns)}")
    print(f"{'':48}median, most     median, most\n")
    parked = sorted(book.parked, key=int)
    print(f"{len(book.expected)} messages: {len(book.archive)} done, {len(parked)} parked, {len(book.lost)} lost")
    print(
        f"done once more: {book.redelivered} redelivered, {book.published_twice} published twice; "
        f"copies in the last queues: {book.copies}"
    )
    for tool in world.running:
        ends = ", ".join(f"{count} x {status}" for status, count in Counter(tool.ends).items())
        print(f"{tool.name}: {len(tool.breaks)} times without its connection; ended: {ends}")
    statuses = Counter(status for _, _, status, _ in calls.made)
    print(f"amqp-call: {', '.join(f'{count} x {status}' for status, count in sorted(statuses.items()))}")
    for (title, where, status), total in sorted(world.leaders.items()):
        numbers = ", ".join(f"{number} {name}" for name, number in total.items())
        print(f"{title}, by {where}, exit status {status}: {numbers}")


def judge_calls(calls, book):
    for begin, end, status, right in calls.made:
        if not right or (status and not book.in_fault(begin, end)):
            book.wrong.append(f"amqp-call ended with {status} at {begin:.3f}, its reply right: {right}")


def main():
    tools, places, seconds, *seed = sys.argv[1:]
    seed = int(seed[0]) if seed else random.randrange(1_000_000)
    folder = Path("target/cluster").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    world = World(Path(tools), places.split(","), folder)
    world.wrong, world.leaders = [], {}
    messages = int(seconds) * RATE * 4 // 5
    print(f"{messages} messages, {seconds} s of faults, --seed {seed}", flush=True)
    start(world, messages)
    calls = Calls(world)
    made = faults.make(world, random.Random(seed), int(seconds))
    calls.finish()
    settle(world, messages)
    book = Book(world, made, messages)
    book.check()
    judge_calls(calls, book)
    report(world, book, calls)
    wrong = world.wrong + book.wrong
    print(f"{len(wrong)} wrong; {folder} has the log")
    for line in wrong:
        print(f"wrong: {line}")
    sys.exit(bool(wrong))


main()
