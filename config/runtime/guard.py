"""Ends what the process manager started when the manager itself was killed.

Run as a plain script, with the standard library only, so that it stays small. It reads a line for each process
group; when its standard input closes, the manager is gone, and every group still on its list is ended.
"""

import os
import signal
import sys
import time

KILL, ASK, FORGET = "!", "?", "-"  # what a line begins with: end it at once, ask it first, it has ended by itself
PATIENCE = 5.0  # seconds that a group that was asked has


def main() -> None:
    """Read until the manager is gone, then end what it left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: dict[int, str] = {}
    for line in sys.stdin:
        sign, group = line[0], int(line[1:])
        if sign == FORGET:
            groups.pop(group, None)
        else:
            groups[group] = sign
    end(groups)


def end(groups: dict[int, str]) -> None:
    """Kill applications, ask services, last started first; kill what is there after ``PATIENCE`` seconds."""
    for group, sign in reversed(groups.items()):
        if sign == KILL:
            _send(group, signal.SIGKILL)
    waiting = [group for group, sign in reversed(groups.items()) if sign == ASK and _send(group, signal.SIGTERM)]
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
