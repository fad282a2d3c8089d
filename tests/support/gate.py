"""A gate in front of a real server: shut, every connection through it breaks and new ones are refused."""

import selectors
import socket
import threading
from contextlib import suppress


class Gate:
    """Forwards ``port`` on loopback to ``target``. `shut` and `open` as often as a test likes."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = self._listen(0)
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._accept()

    def shut(self) -> None:
        """Refuse newcomers and cut everyone who is inside."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            for side in pair:
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def open(self) -> None:
        """Let everyone in again."""
        self._listener = self._listen(self.port)
        self._accept()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        return listener

    def _accept(self) -> None:
        threading.Thread(target=self._serve, args=[self._listener], daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _address = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                self._pairs.append((client, server))
                threading.Thread(target=_forward, args=[client, server], daemon=True).start()


def _forward(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    sides = {side.fileno(): side for side in other}
    with selectors.DefaultSelector() as ready, client, server, suppress(OSError):
        for side in other:
            ready.register(side, selectors.EVENT_READ)
        while True:
            for key, _events in ready.select():
                side = sides[key.fd]
                data = side.recv(65536)
                if not data:
                    return
                other[side].sendall(data)
