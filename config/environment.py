"""The process environment: ``.env``, the running services, and reading variables with a remedy.

Apart from ``config.settings``, because the process manager needs these before there is a database to point Django at.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import NoReturn

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parents[1]

env = environ.FileAwareEnv()
environ.Env.read_env(BASE_DIR / ".env")


def refuse(name: str, remedy: str) -> NoReturn:
    """Stop start-up, naming the variable and what to do about it."""
    raise ImproperlyConfigured(f"{name}: {remedy}")


def required(name: str, remedy: str) -> str:
    """Return the variable; raises ImproperlyConfigured with ``remedy`` when it is missing or empty."""
    value = str(env(name, default=""))
    if not value:
        refuse(name, f"is not set. {remedy}")
    return value


def positive_int(name: str, default: int, largest: int | None = None) -> int:
    """Return the variable as an integer from 1 to ``largest``; raises ImproperlyConfigured otherwise."""
    raw = str(env(name, default=str(default)))
    if not raw.isascii() or not raw.isdigit() or int(raw) < 1:
        refuse(name, f"must be a whole number of at least 1, not {raw!r}.")
    if largest is not None and int(raw) > largest:
        refuse(name, f"must be at most {largest}, not {raw}.")
    return int(raw)


def boolean(name: str, *, default: bool) -> bool:
    """Return the variable as a truth value; raises ImproperlyConfigured on anything that is neither yes nor no."""
    raw = str(env(name, default=str(default))).strip().lower()
    if raw not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
        refuse(name, f"must be true or false, not {raw!r}.")
    return raw in {"true", "1", "yes", "on"}


def running_services(data_dir: Path) -> dict[str, str]:
    """Return what the process manager of ``data_dir`` published; nothing when it does not run any more.

    Nothing either when ``DATABASE_URL`` names another database than the manager was given: then all is meant to differ.
    """
    try:
        published = json.loads((data_dir / "runtime.json").read_text())
    except (OSError, ValueError):  # not there, or not ours to read
        return {}
    if not _is_locked(data_dir / "lock"):  # left behind by a run that was killed
        return {}
    if os.environ.get("DATABASE_URL", "") not in {"", published["replaces"]["DATABASE_URL"]}:
        return {}
    return {str(name): str(value) for name, value in published["environment"].items()}


def _is_locked(file: Path) -> bool:
    try:
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


DATA_DIR = (BASE_DIR / str(env("DATA_DIR", default="") or "var")).resolve()

# Unset: development with friendly error pages. true: also Django's technical pages. false: production.
PRODUCTION = bool(os.environ.get("DEBUG")) and not boolean("DEBUG", default=False)
