"""``python -m config.runtime``: services, then migrations, then applications; and all of it back in reverse order."""

import os
import signal
import time
from pathlib import Path
from types import FrameType

from django.core.exceptions import ImproperlyConfigured

from config.runtime import bonds
from config.runtime.console import say
from config.runtime.errors import StartError
from config.runtime.options import read_options
from config.runtime.system import System

TICK = 0.25  # seconds between two looks at the processes
AGAIN = 1.0  # seconds after which a signal that went unheard is told again


class Interrupted(BaseException):
    """SIGINT or SIGTERM came while starting or serving."""


def main() -> int:
    """Run the system until a signal; returns the exit code (0 after a clean stop, 1 when it could not start)."""
    try:
        options = read_options()
    except ImproperlyConfigured as refused:
        say(f"Not started. {refused}")
        return 1
    if os.environ.get("DEEPSPACE_UNDER_MAKE"):
        bonds.end_with_parent(signal.SIGTERM)  # make killed outright leaves nobody who could press Ctrl-C
    bonds.adopt_orphans()
    return _run(System(options))


def _run(system: System) -> int:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        signal.signal(number, _interrupt)
    code = 0
    try:
        _watch_make()
        system.open()
        system.start()
        while True:
            system.look_after()
            time.sleep(TICK)
    except Interrupted:
        signal.setitimer(signal.ITIMER_REAL, 0)
        say("")
    except StartError as refused:
        say(f"Not started. {refused}")
        code = 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in signals:
            signal.signal(number, lambda *_: system.hurry())
        system.stop()
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Python drops what is raised while it forks. Then it is raised once more, until the timer is put out.
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, AGAIN)
    raise Interrupted


def _watch_make() -> None:
    """End when GNU make above was told to end by SIGINT to it alone: it does not pass it on but waits for us for ever.

    It stops catching the signal when it has got it, and that can be seen from here.
    """
    make = os.getppid()
    if os.environ.get("DEEPSPACE_UNDER_MAKE") and _catches_sigint(make):

        def look(number: int, frame: FrameType | None) -> None:
            if not _catches_sigint(make):
                raise Interrupted

        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, TICK, TICK)


def _catches_sigint(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), "0")
    return bool(int(caught, 16) & 1 << signal.SIGINT - 1)
