import os
import sys
from typing import Any
from urllib.parse import urlsplit

import environ

from config.settings.env import env, required

_REMEDY = "`make run` starts a database by itself; elsewhere set it to postgres://USER:PASSWORD@HOST:PORT/NAME."


def _url() -> str:
    """The runtime role's URL, or the owner's for commands that change tables (``manage.py`` marks them)."""
    url = required("DATABASE_URL", _REMEDY)
    owner_url = str(env("DATABASE_OWNER_URL", default=""))
    if os.environ.get("DATABASE_ROLE") != "owner" or not owner_url:
        return url
    sys.stderr.write(f"As the owner of the tables, {urlsplit(owner_url).username}.\n")
    return owner_url


_database: dict[str, Any] = environ.Env.db_url_config(_url())
# Adds the tenant to every BEGIN; see accounts_app.tenancy.
_database["ENGINE"] = "accounts_app.tenancy.postgresql"
_database["OPTIONS"] = _database.get("OPTIONS", {}) | {
    # A pool instead of CONN_MAX_AGE: under ASGI a request may run in any thread. Its pauses between attempts to
    # reconnect double; beginning anew after 5 s, it is back a second after the server is. A connection that died while
    # idle (a restart, a failover) is replaced, not handed out (accounts_app.tenancy.postgresql.liveness).
    "pool": {"min_size": 1, "max_size": 16, "timeout": 5, "max_idle": 60, "reconnect_timeout": 5},
    # PgBouncer in transaction mode keeps no session state.
    "prepare_threshold": None,
    "connect_timeout": 5,
}
_database["DISABLE_SERVER_SIDE_CURSORS"] = True
DATABASES = {"default": _database}
