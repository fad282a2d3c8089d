"""Organizations: how they begin, and what they are called."""

import uuid

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.models import Membership, Organization, Role, User
from accounts_app.services.audit import audit_record
from accounts_app.signals import organization_created
from accounts_app.tenancy.context import tenant_context

NAME_LENGTH = 120


@transaction.atomic
def organization_create(*, user: User, name: str, is_personal: bool = False) -> Organization:
    """Create an organization owned by ``user``, and tell the rooms above. Raises InvalidInput for an empty name."""
    name = name.strip()[:NAME_LENGTH]
    if not name:
        raise InvalidInput.for_field("name", _("Give the organization a name."))
    organization = Organization(id=uuid.uuid4(), name=name, is_personal=is_personal)
    with tenant_context(organization.id, user.id, Role.OWNER):
        organization.save(force_insert=True)
        Membership.objects.create(organization=organization, user=user, role=Role.OWNER)
        audit_record(action="organization.create", target_type="organization", target_id=organization.id)
        organization_created.send(sender=Organization, organization_id=organization.id, user_id=user.id)
    return organization


def personal_organization_create(*, user: User) -> Organization:
    """Create the organization that belongs to this user alone."""
    return organization_create(user=user, name=user.email.split("@")[0], is_personal=True)
