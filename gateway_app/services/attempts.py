"""The rows of tries: each is there before its provider is asked."""

from django.db import transaction

from accounts_app.tenancy.context import bound
from gateway_app.models import GatewayAttempt
from gateway_app.services import leases
from gateway_app.services.pipeline import Attempt, Call


def attempt_insert(call: Call) -> Attempt:
    """Begin the next try: its row is there before the provider is asked, so that a killed one is seen too."""
    attempt = Attempt(number=len(call.attempts) + 1)
    call.attempts.append(attempt)
    assert call.route
    GatewayAttempt.objects.create(
        organization_id=call.organization_id,
        user_id=call.tenant.user_id,
        call_id=call.id,
        number=attempt.number,
        provider=call.route.endpoint.provider,
        started_at=attempt.started_at,
    )
    return attempt


def attempt_retry(call: Call) -> Attempt:
    """Store how the last try ended, begin the next, and renew the lease for its wait."""
    assert call.route
    endpoint = call.route.endpoint
    with bound(call.tenant), transaction.atomic(durable=True):
        attempt_save(call, call.attempts[-1])
        leases.lease_renew(call, endpoint.connect_timeout + endpoint.first_token_timeout)
        return attempt_insert(call)


def attempt_save(call: Call, attempt: Attempt) -> None:
    """Store how ``attempt`` ended. In a transaction."""
    GatewayAttempt.objects.filter(call_id=call.id, number=attempt.number).update(
        status=attempt.status,
        http_status=attempt.http_status,
        error=attempt.error,
        upstream_request_id=attempt.upstream_request_id[:120],
        ended_at=attempt.ended_at,
        latency_ms=attempt.latency_ms,
    )
