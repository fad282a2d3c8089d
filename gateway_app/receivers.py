"""What this room does when a lower one tells something."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from accounts_app.signals import seed_requested
from accounts_app.tenancy.context import Tenant, bound
from billing_app.signals import hold_expired
from gateway_app.models import CallStatus, GatewayCall
from gateway_app.services.catalogue import catalogue_refresh
from gateway_app.services.recovery import call_bury


@receiver(seed_requested)
def load_catalogue(**_signal: Any) -> int:
    """Load the catalogue; return the number of models."""
    return catalogue_refresh()


@receiver(hold_expired)
def settle_dead_call(billing_ref_id: str, **_signal: Any) -> None:
    """A hold that ran out belonged to a call whose process was killed: settle it, in the expiry's transaction."""
    try:
        call_id = UUID(billing_ref_id)
    except ValueError:
        return  # a hold for something else
    _settle_dead_call(call_id)


def _settle_dead_call(call_id: UUID) -> None:
    row = GatewayCall.objects.filter(pk=call_id).exclude(status=CallStatus.SETTLED).first()
    if row is not None:
        with bound(Tenant(organization_id=row.organization_id, user_id=row.user_id)):
            call_bury(row)
