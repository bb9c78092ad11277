"""declare.py URL QUEUE: declares a queue."""
import sys

import pika

url, queue = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    print(channel.queue_declare(queue).method.queue)
