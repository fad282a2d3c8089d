"""The files of processes that have ended: their counters go into one file, their gauges away.

Each process maps files of its own (``counter_PID.db``); a system whose workers come and go would gather thousands.
Counters only grow, so the sum over all files is what it was. Whoever adds up holds the folder's lock, so that nobody
counts a file twice that is just being moved.
"""

import fcntl
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

# What only grows; every other kind is a state that ended with its process.
_GROWING = ("counter", "histogram")
_GONE = "gone"
_LOCK = "lock"


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Keep other processes from adding up or tidying until the block ends."""
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def files_tidy(folder: Path) -> None:
    """Move what processes counted that are gone into one file for each kind, and forget their gauges.

    The folder is locked by the caller, and its processes are this machine's. Never raises for a file that cannot be
    read: that one is dropped, and logged.
    """
    gone = [file for file in sorted(folder.glob("*_*.db")) if _is_of_the_dead(file)]
    for kind in _GROWING:
        _fold(folder / f"{kind}_{_GONE}.db", [file for file in gone if file.name.startswith(f"{kind}_")])
    for file in gone:
        file.unlink(missing_ok=True)


def _fold(into: Path, files: list[Path]) -> None:
    if not files:
        return
    sums: defaultdict[str, float] = defaultdict(float)
    for file in [into, *files]:
        for key, value in _values(file):
            sums[key] += value
    new = into.with_suffix(".new")
    new.unlink(missing_ok=True)
    written = MmapedDict(str(new))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    new.replace(into)


def _values(file: Path) -> Iterable[tuple[str, float]]:
    try:
        return [
            (key, value)
            for key, value, *_rest in MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
        ]
    except FileNotFoundError:
        return []
    except Exception:
        logger.warning("metrics.file_unreadable", extra={"file": file.name}, exc_info=True)
        return []


def _is_of_the_dead(file: Path) -> bool:
    process = file.stem.rpartition("_")[2]
    return process.isdigit() and not _is_alive(int(process))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
