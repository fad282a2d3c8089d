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
def settle_dead_call(hold_id: UUID, **_signal: Any) -> None:
    """A hold that ran out belonged to a call whose process was killed: settle it, in the expiry's transaction."""
    row = GatewayCall.objects.filter(hold_id=hold_id, status=CallStatus.DISPATCHED).first()
    if row is not None:
        with bound(Tenant(organization_id=row.organization_id, user_id=row.user_id)):
            call_bury(row)
