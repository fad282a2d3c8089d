"""Leases of calls: how long a call may be silent before its process is taken for dead."""

import logging
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts_app.tenancy.context import bound
from gateway_app.models import CallStatus, GatewayCall
from gateway_app.services.pipeline import Call, connection_release

logger = logging.getLogger(__name__)

# What a lease adds to the longest wait that it covers.
LEASE_MARGIN = timedelta(seconds=30)


def lease_after(wait: float) -> datetime:
    """Return when a lease ends that covers a wait of that many seconds."""
    return timezone.now() + timedelta(seconds=wait) + LEASE_MARGIN


def lease_renew(call: Call, wait: float) -> None:
    """Let the call's lease outlast a wait of that many seconds. In a transaction."""
    GatewayCall.objects.filter(pk=call.id, status=CallStatus.DISPATCHED).update(lease_until=lease_after(wait))
    call.lease_seconds(wait + LEASE_MARGIN.total_seconds())


def lease_is_short(call: Call) -> bool:
    """Whether the lease would not outlast a wait for the next token. Asks no database."""
    assert call.route
    return call.lease_left() < call.route.endpoint.between_tokens_timeout + 5


def lease_keep(call: Call) -> None:
    """Renew the lease for the next waits. A database that is away does not end the call."""
    assert call.route
    wait = call.route.endpoint.between_tokens_timeout
    try:
        with bound(call.tenant), transaction.atomic(durable=True):
            lease_renew(call, wait)
    except DatabaseError:
        # The text goes on; at worst the call is given up for dead and not charged.
        logger.warning("call.lease_not_renewed", extra={"call_id": str(call.id)}, exc_info=True)
        call.lease_seconds(wait + 10)
    finally:
        connection_release()
