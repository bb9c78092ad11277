"""seed.py URL QUEUE [--confirm] < LINES: publishes each line; with --confirm it waits for the broker's confirm of each,
which is the only way in which pika's blocking connection can."""
import sys

import pika

url, queue = sys.argv[1:3]
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    if "--confirm" in sys.argv:
        channel.confirm_delivery()
    for line in sys.stdin.buffer:
        channel.basic_publish("", queue, line)
