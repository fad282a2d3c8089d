import os
from typing import Any

import environ

from config.settings.env import required

_REMEDY = "`make run` starts a database by itself; elsewhere set it to postgres://USER:PASSWORD@HOST:PORT/NAME."


def _url() -> str:
    """The runtime role's URL, or the owner's for commands that change tables (``manage.py`` marks them)."""
    url = required("DATABASE_URL", _REMEDY)
    if os.environ.get("DATABASE_ROLE") == "owner":
        return os.environ.get("DATABASE_OWNER_URL") or url
    return url


_database: dict[str, Any] = environ.Env.db_url_config(_url())
# Adds the tenant to every BEGIN; see accounts_app.tenancy.
_database["ENGINE"] = "accounts_app.tenancy.postgresql"
_database["OPTIONS"] = _database.get("OPTIONS", {}) | {
    # A pool instead of CONN_MAX_AGE: under ASGI a request may run in any thread.
    "pool": {"min_size": 1, "max_size": 16, "timeout": 5, "max_idle": 60},
    # PgBouncer in transaction mode keeps no session state.
    "prepare_threshold": None,
    "connect_timeout": 5,
}
_database["DISABLE_SERVER_SIDE_CURSORS"] = True
DATABASES = {"default": _database}
