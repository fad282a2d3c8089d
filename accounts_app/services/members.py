"""Who belongs to the bound organization, and what each may do there.

Owners and admins manage members; only owners make, change or remove owners; one owner always stays.
"""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, LastOwner, NotFound, PermissionRefused
from accounts_app.models import Membership, Organization, Role, User
from accounts_app.services.audit import audit_record
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id, current_tenant, current_user_id


@transaction.atomic
def member_add(*, email: str, role: str) -> Membership:
    """Add the person with this address. Raises InvalidInput: unknown, a member already, or a personal organization."""
    organization = managed_organization()
    check_role(role, touching_owner=role == Role.OWNER)
    if organization.is_personal:
        raise InvalidInput.for_field("email", _("This is your personal organization. Create another to work together."))
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None:
        raise InvalidInput.for_field("email", _("Nobody has an account with this address. Ask them to sign up first."))
    member, added = Membership.objects.get_or_create(organization=organization, user=user, defaults={"role": role})
    if not added:
        raise InvalidInput.for_field("email", _("This person is a member already."))
    _audit("member.add", member, role=role)
    return member


@transaction.atomic
def member_role_set(*, membership_id: UUID, role: str) -> Membership:
    """Change what a member may do. Raises LastOwner when nobody would own the organization."""
    member = _member_for_change(membership_id)
    check_role(role, touching_owner=Role.OWNER in (member.role, role))
    if role != Role.OWNER:
        _refuse_to_lose_the_last_owner(member)
    before, member.role = member.role, role
    member.save(update_fields=["role"])
    _audit("member.role", member, role=role, before=before)
    return member


@transaction.atomic
def member_remove(*, membership_id: UUID) -> None:
    """Remove a member. Their keys of this organization stop working. Raises LastOwner for the last owner."""
    member = _member_for_change(membership_id)
    check_role(member.role, touching_owner=member.role == Role.OWNER)
    _remove("member.remove", member)


@transaction.atomic
def organization_leave() -> None:
    """Leave the bound organization. Raises LastOwner when nobody would own it afterwards."""
    _lock()
    member = Membership.objects.filter(organization_id=current_organization_id(), user_id=current_user_id()).first()
    if member is None:
        raise NotFound
    _remove("member.leave", member)


def managed_organization() -> Organization:
    """Return the bound organization, locked for a change of its members; raises PermissionRefused."""
    if not can_manage(current_tenant()):
        raise PermissionRefused
    return _lock()


def _lock() -> Organization:
    # One change of members at a time: two owners who leave at once must not both find the other still there.
    return Organization.objects.select_for_update().get(pk=current_organization_id())


def _member_for_change(membership_id: UUID) -> Membership:
    organization = managed_organization()
    member = Membership.objects.select_related("user").filter(pk=membership_id, organization=organization).first()
    if member is None:
        raise NotFound
    return member


def check_role(role: str, *, touching_owner: bool) -> None:
    """Raise InvalidInput for an unknown role, PermissionRefused for an owner's where the caller is none."""
    if role not in Role.values:
        raise InvalidInput.for_field("role", _("There is no such role."))
    if touching_owner and current_tenant().role != Role.OWNER:
        raise PermissionRefused(_("Only an owner can do this to an owner."))


def _refuse_to_lose_the_last_owner(member: Membership) -> None:
    owners = Membership.objects.filter(organization_id=member.organization_id, role=Role.OWNER)
    if member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists():
        raise LastOwner


def _remove(action: str, member: Membership) -> None:
    _refuse_to_lose_the_last_owner(member)
    _audit(action, member, role=member.role)
    member.delete()


def _audit(action: str, member: Membership, **data: str) -> None:
    audit_record(action=action, target_type="user", target_id=member.user_id, data=data)
