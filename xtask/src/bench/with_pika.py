"""What people write in Python instead: with_pika.py TASK URL QUEUE [ARGUMENT...], with pika's blocking connection."""
import subprocess
import sys

import pika

task, url, queue, *arguments = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    if task == "declare":
        channel.queue_declare(queue, durable=True)
    elif task == "publish":
        channel.confirm_delivery()
        channel.basic_publish("", queue, arguments[0], mandatory=True)
    elif task == "get":
        method, _, body = channel.basic_get(queue)
        sys.stdout.buffer.write(body)
        channel.basic_ack(method.delivery_tag)
    elif task == "lines":
        for line in sys.stdin.buffer:
            channel.basic_publish("", queue, line, pika.BasicProperties(delivery_mode=2))
    elif task == "consume":
        count, *command = arguments
        channel.basic_qos(prefetch_count=1)
        for done, (method, _, body) in enumerate(channel.consume(queue), start=1):
            subprocess.run(command, input=body, check=True)
            channel.basic_ack(method.delivery_tag)
            if done == int(count):
                break
    elif task == "read":
        channel.basic_qos(prefetch_count=100)
        for done, (method, _, _) in enumerate(channel.consume(queue), start=1):
            channel.basic_ack(method.delivery_tag)
            if done == int(arguments[0]):
                break
