"""Kombu's Redis transport, for workers whose Redis is restarted under them.

Closing a channel puts the messages back that it had not acknowledged. When the connection is gone already, as it is
when Redis went away, kombu 5.7 stumbles over that (AttributeError), and the worker ends. Such messages are put back by
the visibility timeout anyway, and nothing is in them that Postgres does not hold too.
"""

import logging
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

logger = logging.getLogger(__name__)


class QoS(redis.QoS):
    """Does not try to put messages back over a connection that is closed."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what was not acknowledged, if there is a connection for it."""
        if self.channel.connection is None or self.channel.connection.client is None:
            held: Any = self._delivered
            logger.warning("broker.not_restored", extra={"messages": len(held)})
            held.clear()
            return
        super().restore_unacked(client)


class Channel(redis.Channel):
    """A channel with it."""

    QoS = QoS


class Transport(redis.Transport):
    """A transport with it."""

    Channel = Channel


def redis_broker_use() -> None:
    """Let every connection to Redis that this process makes through kombu use it."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{Transport.__module__}:{Transport.__name__}"
