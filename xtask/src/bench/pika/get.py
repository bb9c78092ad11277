"""get.py URL QUEUE: prints one message's body, and acknowledges it."""
import sys

import pika

url, queue = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    method, _, body = channel.basic_get(queue)
    if method is None:
        sys.exit(2)
    sys.stdout.buffer.write(body)
    sys.stdout.flush()
    channel.basic_ack(method.delivery_tag)
