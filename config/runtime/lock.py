import fcntl
import os
import time
from pathlib import Path

from config.runtime.errors import AlreadyRunningError


def lock_data_dir(data_dir: Path) -> int:
    """Lock the folder for this process; returns the descriptor that holds the lock until it is closed.

    The kernel lets go of it however the process ends, so nothing is ever left behind. Raises AlreadyRunningError.
    """
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(descriptor):
        holder = os.read(descriptor, 20).decode() or "unknown"
        os.close(descriptor)
        raise AlreadyRunningError(
            f"DATA_DIR {data_dir} is in use by another `make run` (process {holder})."
            " Stop that one, or give this one a DATA_DIR and PORT of its own."
        )
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _lock(descriptor: int) -> bool:
    """Try for a second: ``./manage.py`` holds the lock for a moment when it looks whether anything runs."""
    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False
