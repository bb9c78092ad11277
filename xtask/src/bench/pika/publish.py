"""publish.py URL QUEUE BODY: publishes one message and waits for the broker's confirm."""
import sys

import pika

url, queue, body = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", queue, body, mandatory=True)
