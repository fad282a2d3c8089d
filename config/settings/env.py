"""Where settings come from: process environment, then ``.env``, then the running embedded services."""

import os

from config.environment import (
    BASE_DIR,
    DATA_DIR,
    PRODUCTION,
    boolean,
    env,
    positive_int,
    refuse,
    required,
    running_services,
)

# `make run` publishes the addresses of the services it started; `./manage.py` finds them here.
os.environ.update(running_services(DATA_DIR))

__all__ = ["BASE_DIR", "DATA_DIR", "PRODUCTION", "boolean", "env", "positive_int", "refuse", "required"]
