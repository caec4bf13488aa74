"""A proxy for checks of lost connections: it stalls, cuts, resets, and changes bytes."""

import contextlib
import socket
import struct
import threading

from harness import SECONDS


class Proxy:
    """A TCP proxy in front of a port. It stalls, cuts, resets, and sends byte by byte.

    `change(data)`, if set, gets each block from the server and returns the bytes that go on to the client."""

    def __init__(self, port, host="127.0.0.1"):
        self.target = ("127.0.0.1", port)
        self.pairs = []  # (client, server) of each connection
        self.running = threading.Event()  # not set: nothing passes, and connections stay open
        self.running.set()
        self.resetting = set()  # the sockets that end by RST
        self.is_open = True
        self.deaf = False  # accepts connections and never talks to the server
        self.record = None  # a bytearray gets all bytes of the clients
        self.cut_after = None  # the bytes from the server after which each connection ends
        self.chunk = 65536
        self.change = None
        self.accepted = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                if not self.is_open:
                    client.close()
                    continue
                if self.deaf:
                    self.pairs.append((client, client))
                    continue
                try:
                    server = socket.create_connection(self.target, SECONDS)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.pairs.append((client, server))
            threading.Thread(target=self._both, args=(client, server), daemon=True).start()

    def _both(self, client, server):
        back = threading.Thread(target=self._copy, args=(server, client, True), daemon=True)
        back.start()
        self._copy(client, server, False)
        back.join()
        for end in (client, server):
            end.close()  # the last use: here an RST leaves

    def _copy(self, source, target, from_server):
        left = self.cut_after if from_server else None
        with contextlib.suppress(OSError):
            while data := source.recv(self.chunk):
                self.running.wait()
                if from_server and self.change:
                    data = self.change(data)
                if not from_server and self.record is not None:
                    self.record += data
                if left is not None:
                    data, left = data[:left], left - len(data)
                target.sendall(data)
                if left is not None and left <= 0:
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD if end in self.resetting else socket.SHUT_RDWR)

    def stall(self):
        """Half-open: the connections stay, and no byte passes."""
        self.running.clear()

    def resume(self):
        self.running.set()

    def cut(self, refuse=False):
        """Ends all connections by FIN; with `refuse`, new ones too, until open()."""
        self._end(False, refuse)

    def reset(self, refuse=False):
        """The same by RST."""
        self._end(True, refuse)

    def open(self):
        with self.lock:
            self.is_open = True

    def _end(self, reset, refuse):
        with self.lock:
            self.is_open = not refuse
            lost, self.pairs = self.pairs, []
        for pair in lost:
            for end in pair:
                with contextlib.suppress(OSError):
                    if reset:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.resetting.add(end)
                    end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        self.running.set()

    def close(self):
        self._end(False, True)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
