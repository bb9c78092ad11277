"""A TCP forwarder in front of one node: it cuts the node off from its clients, and sees what passes."""

import contextlib
import socket
import struct
import threading

# Class and method numbers (AMQP 0-9-1, section 1.4), as a method frame begins with them.
BASIC_ACK = b"\x00\x3c\x00\x50"
CANCEL_OK = b"\x00\x3c\x00\x1f"


class Trap:
    """Does something when a method passes for the Nth time: before those who wait for it have it."""

    def __init__(self, direction, method, at, action):
        self.direction, self.method, self.at, self.action = direction, method, at, action
        self.seen = 0
        self.sprung = False

    def look(self, direction, data):
        if direction == self.direction:
            self.seen += data.count(self.method)
        if self.seen >= self.at and not self.sprung:
            self.sprung = True
            self.action()


class Forwarder:
    """Listens on a port of its own and forwards each connection to `port`."""

    def __init__(self, port, trap=None):
        self.port, self.trap = port, trap
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.listener.getsockname()[1]}"
        self.flowing = threading.Event()
        self.flowing.set()
        self.refusing = False
        self.sockets = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Resets all connections, and each new one at once."""
        self.refusing = True
        for one in list(self.sockets):
            reset(one)

    def hush(self):
        """Nothing passes any more; connections stay."""
        self.flowing.clear()

    def heal(self):
        self.refusing = False
        self.flowing.set()

    def close(self):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self.listener.accept()[:1], daemon=True).start()

    def _serve(self, client):
        try:
            if self.refusing:
                raise OSError
            node = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            return reset(client)
        self.sockets |= {client, node}
        back = threading.Thread(target=self._pump, args=(node, client, "down"), daemon=True)
        back.start()
        self._pump(client, node, "up")
        back.join()
        self.sockets -= {client, node}
        client.close()
        node.close()

    def _pump(self, source, sink, direction):
        try:
            while data := source.recv(65536):
                self.flowing.wait()
                if self.trap and direction == "down":
                    self.trap.look(direction, data)
                sink.sendall(data)
                if self.trap and direction == "up":
                    self.trap.look(direction, data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            reset(source)
            reset(sink)


def reset(connection):
    """Ends it as a crash would, without waiting for what is still unsent."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
