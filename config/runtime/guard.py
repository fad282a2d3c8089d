"""Ends what the process manager started when the manager itself was killed.

Run as a plain script, with the standard library only, so that it stays small. It reads lines ``+GROUP`` and
``-GROUP`` from its standard input; when that closes, the manager is gone, and every group still named is ended:
asked at first (a database closes its files), then made to.
"""

import os
import signal
import sys
import time

PATIENCE = 5.0  # seconds


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        sign, group = line[0], int(line[1:])
        if sign == "+":
            groups.append(group)
        elif group in groups:
            groups.remove(group)
    end(groups)


def end(groups: list[int]) -> None:
    """Ask each group to end, applications (started last) first; kill what is there after ``PATIENCE`` seconds."""
    waiting = [group for group in reversed(groups) if _send(group, signal.SIGTERM)]
    deadline = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < deadline:
        time.sleep(0.05)
        waiting = [group for group in waiting if _send(group, 0)]
    for group in waiting:
        _send(group, signal.SIGKILL)


def _send(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
