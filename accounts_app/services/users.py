"""People, and the personal organization that each of them has."""

import uuid

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.models import Membership, Organization, Role, User
from accounts_app.services.audit import audit_record
from accounts_app.signals import organization_created
from accounts_app.tenancy.context import tenant_context


@transaction.atomic
def user_create(*, email: str, password: str | None = None, is_operator: bool = False) -> User:
    """Create a user with a personal organization. Without a password the account can only use keys.

    Raises InvalidInput when the address is taken.
    """
    if User.objects.filter(email__iexact=email).exists():
        raise InvalidInput.for_field("email", _("This address has an account already."))
    create = User.objects.create_superuser if is_operator else User.objects.create_user
    user = create(email=email, password=password)
    personal_organization_create(user=user)
    return user


@transaction.atomic
def personal_organization_create(*, user: User) -> Organization:
    """Create the organization that belongs to this user alone, and tell the rooms above."""
    organization = Organization(id=uuid.uuid4(), name=user.email.split("@")[0][:120], is_personal=True)
    with tenant_context(organization.id, user.id, Role.OWNER):
        organization.save(force_insert=True)
        Membership.objects.create(organization=organization, user=user, role=Role.OWNER)
        audit_record(action="organization.create", target_type="organization", target_id=organization.id)
        organization_created.send(sender=Organization, organization_id=organization.id, user_id=user.id)
    return organization
