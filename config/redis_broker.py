"""Kombu's Redis transport, for workers whose Redis is restarted under them.

A worker that lost its Redis closes its channels and opens others; what it was doing then acknowledges its messages, and
closing puts the rest back, on channels that have no connection any more. Kombu 5.7 stumbles over that (AttributeError),
and the worker ends. Here it is the connection error that it is, which Celery logs. Such messages are put back by the
visibility timeout anyway, and nothing is in them that Postgres does not hold too.
"""

import logging
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis import exceptions

logger = logging.getLogger(__name__)


class QoS(redis.QoS):
    """Does not try to put messages back over a connection that is closed."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what was not acknowledged, if there is a connection for it."""
        channel: Any = self.channel
        if channel.is_cut_off:
            held: Any = self._delivered
            logger.warning("broker.not_restored", extra={"messages": len(held)})
            held.clear()
            return
        super().restore_unacked(client)


class Channel(redis.Channel):
    """A channel that knows when it has no connection any more."""

    QoS = QoS

    @property
    def is_cut_off(self) -> bool:
        """Whether its connection was closed."""
        return self.connection is None or self.connection.client is None

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.is_cut_off:
            raise exceptions.ConnectionError("The channel's connection was closed.")
        return super()._connparams(asynchronous)  # type: ignore[misc]


class Transport(redis.Transport):
    """A transport with it."""

    Channel = Channel


def redis_broker_use() -> None:
    """Let every connection to Redis that this process makes through kombu use it."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{Transport.__module__}:{Transport.__name__}"
