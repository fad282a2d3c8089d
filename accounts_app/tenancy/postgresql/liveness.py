"""Whether a pooled connection still lives, asked of the server only where there is doubt.

An exchange before each use is a third of what a short transaction costs. A server that restarts, fails over in order or
ends a session says so on the socket, where looking costs microseconds; one that vanishes without a word is noticed by
asking whoever has said nothing for a while.
"""

import select
import time
from typing import Any

from psycopg_pool import ConnectionPool

# Seconds since it was last given back in which a connection that has nothing to say is taken for alive.
TRUSTED_SECONDS = 1.0
_GIVEN_BACK = "given_back_at"


def connection_given_back(connection: Any) -> None:
    """Note that ``connection`` was in use until now."""
    setattr(connection, _GIVEN_BACK, time.monotonic())


def connection_check(connection: Any) -> None:
    """Return if ``connection`` can be handed out; raises psycopg.Error if it is dead (`ConnectionPool`'s ``check``)."""
    rested = time.monotonic() - getattr(connection, _GIVEN_BACK, float("-inf"))
    if rested > TRUSTED_SECONDS or _has_news(connection):
        ConnectionPool.check_connection(connection)


def _has_news(connection: Any) -> bool:
    """Whether something has come that nobody asked for: the end of the session, as a rule."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
