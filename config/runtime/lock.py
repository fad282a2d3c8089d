import fcntl
import os
from pathlib import Path


class AlreadyRunning(RuntimeError):
    """Another process manager uses this DATA_DIR."""


def lock_data_dir(data_dir: Path) -> int:
    """Lock the folder for this process; returns the descriptor that holds the lock until it is closed.

    The kernel lets go of it however the process ends, so nothing is ever left behind. Raises AlreadyRunning.
    """
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode() or "unknown"
        os.close(descriptor)
        raise AlreadyRunning(
            f"DATA_DIR {data_dir} is in use by another `make run` (process {holder})."
            " Stop that one, or give this one a DATA_DIR and PORT of its own."
        ) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
