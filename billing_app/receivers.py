"""What this room does when an account is made."""

from typing import Any
from uuid import UUID

from django.conf import settings

from billing_app.services.wallets import signup_credit_grant, wallet_create


def on_organization_created(*, organization_id: UUID, user_id: UUID | None, **_signal: Any) -> None:
    """Every organization has a wallet from its first moment."""
    wallet_create(organization_id=organization_id, user_id=user_id)


def on_user_signed_up(*, organization_id: UUID, **_signal: Any) -> None:
    """A person who signed up gets the credit that the operator set, if any."""
    if settings.SIGNUP_CREDIT_USD:
        signup_credit_grant(organization_id=organization_id, amount=settings.SIGNUP_CREDIT_USD)
