"""Where settings come from: process environment, then ``.env``, then the running embedded services."""

import json
import os
from pathlib import Path
from typing import NoReturn

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parents[2]

env = environ.FileAwareEnv()
environ.Env.read_env(BASE_DIR / ".env")

DATA_DIR = (BASE_DIR / str(env("DATA_DIR", default="var"))).resolve()
RUNTIME_FILE = DATA_DIR / "runtime.json"

# `make run` writes the addresses of the services it started; `./manage.py` finds them here.
if RUNTIME_FILE.is_file():
    for _name, _value in json.loads(RUNTIME_FILE.read_text())["environment"].items():
        os.environ.setdefault(_name, _value)

# Unset: development with friendly error pages. true: also Django's technical pages. false: production.
PRODUCTION = "DEBUG" in os.environ and not env.bool("DEBUG")


def refuse(name: str, remedy: str) -> NoReturn:
    """Stop start-up, naming the variable and what to do about it."""
    raise ImproperlyConfigured(f"{name}: {remedy}")


def required(name: str, remedy: str) -> str:
    """Return the variable; raises ImproperlyConfigured with ``remedy`` when it is missing or empty."""
    value = str(env(name, default=""))
    if not value:
        refuse(name, f"is not set. {remedy}")
    return value


def positive_int(name: str, default: int) -> int:
    """Return the variable as an integer of at least 1; raises ImproperlyConfigured otherwise."""
    raw = str(env(name, default=str(default)))
    if not raw.isascii() or not raw.isdigit() or int(raw) < 1:
        refuse(name, f"must be a whole number of at least 1, not {raw!r}.")
    return int(raw)
