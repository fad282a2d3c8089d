"""Whether the process that began a call still lives.

On the same machine the process table tells at once. From another machine only the call's lease can tell: every wait
of a call is bounded, and its lease is renewed beyond the next one.
"""

import os
import socket
from functools import lru_cache
from pathlib import Path


def owner_id() -> str:
    """Return a name of this process that no later process will have."""
    return _owner_id(os.getpid())


@lru_cache(maxsize=4)
def _owner_id(pid: int) -> str:
    return f"{_machine()}|{pid}|{_start_time(pid)}"


def is_surely_gone(owner: str) -> bool:
    """Whether ``owner`` was a process of this machine and has ended. False also means: cannot be told from here."""
    return _is_alive(owner) is False


def is_surely_alive(owner: str) -> bool:
    """Whether ``owner`` is a process of this machine that runs. False also means: cannot be told from here."""
    return _is_alive(owner) is True


def _is_alive(owner: str) -> bool | None:
    machine, pid, started = owner.rsplit("|", 2)
    if not started or machine != _machine():
        return None
    return _start_time(int(pid)) == started


@lru_cache(maxsize=1)
def _machine() -> str:
    # Containers share a boot id; their process tables differ.
    parts = [socket.gethostname(), _read("/proc/sys/kernel/random/boot_id").strip()]
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append("")
    return " ".join(parts)


def _start_time(pid: int) -> str:
    """The process's start in clock ticks since boot; empty when there is none, when it is a zombie or not on Linux."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return "" if not fields or fields[0] in "ZX" else fields[19]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
