"""Ends answers that keep a thread waiting too long.

A blocking read has one time limit of its own, which must serve for the first token and all later ones. So one thread
of the process looks at all running answers and shuts the socket of a late one; its reader then wakes with an error.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

_TICK = 0.05


class Watch:
    """One answer being read. ``is_late`` tells that its socket was shut for lateness."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._deadline: float | None = None
        self.is_late = False

    def expect(self, seconds: float) -> None:
        """More must come within that time."""
        self._deadline = time.monotonic() + seconds

    def pause(self) -> None:
        """Nothing is awaited: the reader is busy with what came."""
        self._deadline = None

    def check(self, now: float) -> None:
        """Shut the socket if the deadline has passed."""
        deadline = self._deadline
        if deadline is None or now < deadline:
            return
        self.is_late, self._deadline = True, None
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """The thread; it sleeps while nothing is being read."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self, connection: Any) -> Iterator[Watch]:
        """Watch the answer that comes over ``connection`` (a socket) for the block."""
        watch = Watch(connection)
        with self._wake:
            self._watches.add(watch)
            # After a fork the thread is not there any more.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="gateway-watchdog", daemon=True)
                self._thread.start()
            self._wake.notify()
        try:
            yield watch
        finally:
            watch.pause()
            with self._wake:
                self._watches.discard(watch)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._watches:
                    self._wake.wait()
                watches = list(self._watches)
            now = time.monotonic()
            for watch in watches:
                watch.check(now)
            time.sleep(_TICK)


watchdog = Watchdog()
