"""What ties a child process to its parent's life (Linux; elsewhere the guard alone does it)."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(with_signal: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """Return a ``preexec_fn`` that has the kernel send ``with_signal`` when the thread that started the child ends.

    It must run after a change of user, which clears the setting; ``subprocess`` calls ``preexec_fn`` after it.
    """
    return (lambda: _prctl(_PR_SET_PDEATHSIG, with_signal)) if _libc else None


def end_with_parent(with_signal: signal.Signals) -> None:
    """Have this process get ``with_signal`` when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, with_signal)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent ended, so that they can be found and ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def reap_orphans(own: Collection[int]) -> None:
    """Take note of adopted processes that have ended, which would stay in the system's list; ``own`` are waited for."""
    for pid in _children():
        if pid not in own:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    if _libc:
        _libc.prctl(option, int(value), 0, 0, 0)
