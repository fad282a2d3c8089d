"""Reads of this room. Each also names its organization: the index is on it, and the policies are the second lock."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Lower

from accounts_app.contracts import OrganizationChoice
from accounts_app.models import ApiKey, AuditLog, Invitation, IpRule, Membership, Organization, Project, User
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id, current_tenant, current_user_id


def api_keys_visible() -> QuerySet[ApiKey]:
    """Return the keys that the caller may see, newest first: all of the organization for managers, else their own."""
    keys = ApiKey.objects.filter(organization_id=current_organization_id()).select_related("user", "project")
    return keys if can_manage(current_tenant()) else keys.filter(user_id=current_user_id())


def organization_active() -> Organization:
    """Return the bound organization; raises TenantRequired when none is bound."""
    return Organization.objects.get(pk=current_organization_id())


def member_list() -> QuerySet[Membership]:
    """Return the bound organization's members with their users, oldest first."""
    members = Membership.objects.filter(organization_id=current_organization_id())
    return members.select_related("user").order_by("created_at")


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


def subject_names(ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Return what people call projects, keys, members and organizations, whoever's they are, by id; for operators.

    Four queries.
    """
    wanted = {pk for pk in ids if pk}
    named = ((Organization, "name"), (Project, "name"), (ApiKey, "name"), (User, "email"))
    return {
        pk: name for model, field in named for pk, name in model.objects.filter(pk__in=wanted).values_list("pk", field)
    }


def audit_recent(limit: int = 20) -> QuerySet[AuditLog]:
    """Return the bound organization's last audit rows, newest first."""
    return AuditLog.objects.filter(organization_id=current_organization_id())[:limit]


def project_list() -> QuerySet[Project]:
    """Return all projects of the bound organization with who made them, those in use first, by name."""
    projects = Project.objects.filter(organization_id=current_organization_id()).select_related("user")
    return projects.order_by(F("archived_at").asc(nulls_first=True), Lower("name"))


def project_choices(*, also: UUID | None = None) -> QuerySet[Project]:
    """Return the projects that a new key may belong to: those in use, and ``also``."""
    return project_list().filter(Q(archived_at=None) | Q(pk=also))


def invitation_list() -> QuerySet[Invitation]:
    """Return the bound organization's invitations that wait for an answer, newest first, with who sent them."""
    invitations = Invitation.objects.filter(organization_id=current_organization_id())
    return invitations.filter(accepted_at=None, revoked_at=None).select_related("user")


def ip_rules(*, project_id: UUID | None = None, api_key_id: UUID | None = None) -> QuerySet[IpRule]:
    """Return the rules of the bound organization for all of it, or for one project or key; denials first."""
    rules = IpRule.objects.filter(organization_id=current_organization_id())
    return rules.filter(project=project_id, api_key=api_key_id).select_related("user").order_by("-action", "pk")


def ip_rules_all() -> QuerySet[IpRule]:
    """Return all rules of the bound organization, whatever they are for."""
    rules = IpRule.objects.filter(organization_id=current_organization_id())
    return rules.select_related("project", "api_key", "user")
