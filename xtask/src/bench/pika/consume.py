"""consume.py URL QUEUE COUNT COMMAND...: runs COMMAND for each message, the body on its standard input."""
import subprocess
import sys

import pika

url, queue, count, *command = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    for handled, (method, _, body) in enumerate(channel.consume(queue), start=1):
        subprocess.run(command, input=body, check=True)
        channel.basic_ack(method.delivery_tag)
        if handled == int(count):
            break
