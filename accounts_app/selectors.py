"""Reads of this room. Each also names its organization: the index is on it, and the policies are the second lock."""

from uuid import UUID

from django.db.models import QuerySet

from accounts_app.contracts import OrganizationChoice
from accounts_app.models import ApiKey, AuditLog, Membership, Organization, Project
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id, current_tenant, current_user_id


def api_keys_visible() -> QuerySet[ApiKey]:
    """Return the keys that the caller may see, newest first: all of the organization for managers, else their own."""
    keys = ApiKey.objects.filter(organization_id=current_organization_id()).select_related("user")
    return keys if can_manage(current_tenant()) else keys.filter(user_id=current_user_id())


def organization_active() -> Organization:
    """Return the bound organization; raises TenantRequired when none is bound."""
    return Organization.objects.get(pk=current_organization_id())


def member_list() -> QuerySet[Membership]:
    """Return the bound organization's members with their users, oldest first."""
    members = Membership.objects.filter(organization_id=current_organization_id())
    return members.select_related("user").order_by("created_at")


def project_list() -> QuerySet[Project]:
    """Return the bound organization's projects by name, archived ones too."""
    return Project.objects.filter(organization_id=current_organization_id()).order_by("name")


def organization_choices() -> list[OrganizationChoice]:
    """Return the organizations that the bound person belongs to, the personal one first."""
    mine = Membership.objects.filter(user_id=current_user_id()).select_related("organization")
    return [
        OrganizationChoice(
            id=member.organization_id,
            name=member.organization.name,
            role=member.role,
            is_personal=member.organization.is_personal,
            is_active=member.organization_id == current_organization_id(),
        )
        for member in mine.order_by("-organization__is_personal", "organization__name")
    ]


def organization_is_mine(organization_id: UUID) -> bool:
    """Whether the bound person belongs to this organization."""
    return Membership.objects.filter(user_id=current_user_id(), organization_id=organization_id).exists()


def audit_recent(limit: int = 20) -> QuerySet[AuditLog]:
    """Return the bound organization's last audit rows, newest first."""
    return AuditLog.objects.filter(organization_id=current_organization_id())[:limit]
