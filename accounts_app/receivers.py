"""What follows from an account being made or used, wherever that happens."""

from typing import Any

from allauth.account import signals as account_signals
from allauth.mfa import signals as mfa_signals
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts_app.models import User
from accounts_app.services.audit import audit_record
from accounts_app.services.organizations import personal_organization_create
from accounts_app.services.principals import principal_by_session
from accounts_app.signals import user_signed_up
from accounts_app.tenancy.context import bound

_AUDITED = {
    user_logged_in: "user.login",
    user_logged_out: "user.logout",
    account_signals.password_changed: "user.password_change",
    account_signals.password_reset: "user.password_reset",
    mfa_signals.authenticator_added: "user.mfa_add",
    mfa_signals.authenticator_removed: "user.mfa_remove",
}


@receiver(post_save, sender=User)
def give_personal_organization(instance: User, *, created: bool, raw: bool, **_signal: Any) -> None:
    """Nobody is without one. `User.save` has opened the transaction, so there is never one without the other."""
    if created and not raw:
        personal_organization_create(user=instance)


def audit_account(user: User | None, signal: Any, **_signal: Any) -> None:
    """Write what a person did with their own account into the log of the organization they work in."""
    if user is None:
        return
    principal = principal_by_session(user, None)
    if principal.tenant.organization_id is None:
        return
    with bound(principal.tenant), transaction.atomic():
        audit_record(action=_AUDITED[signal], target_type="user", target_id=user.pk)


@receiver(account_signals.user_signed_up)
def tell_signed_up(user: User, **_signal: Any) -> None:
    """Tell the rooms above, in the transaction of the sign-up itself."""
    tenant = principal_by_session(user, None).tenant
    with bound(tenant):
        user_signed_up.send(sender=User, organization_id=tenant.organization_id, user_id=user.pk)


for _signal, _action in _AUDITED.items():
    _signal.connect(audit_account, dispatch_uid=_action)
