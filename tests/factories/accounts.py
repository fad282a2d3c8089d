"""People with their organizations, keys and clients."""

import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.test import Client

from accounts_app.models import Role, User
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.members import member_add
from accounts_app.services.organizations import organization_create
from accounts_app.services.principals import ACTIVE_ORGANIZATION, principal_by_session
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import Tenant, tenant_atomic

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """Someone at work in one organization, as owner unless made otherwise."""

    user: User
    organization_id: UUID
    role: str = Role.OWNER

    @property
    def id(self) -> UUID:
        return self.user.pk

    def at_work(self) -> AbstractContextManager[Tenant]:
        """Return the frame in which this person reads and writes: tenant and transaction."""
        return tenant_atomic(self.organization_id, self.id, self.role)

    def client(self, **options: Any) -> Client:
        """Return a browser signed in as this person, in this organization."""
        client = Client(**options)
        client.force_login(self.user)
        session = client.session
        session[ACTIVE_ORGANIZATION] = str(self.organization_id)
        session.save()
        return client

    def key(self) -> str:
        """Return a new API key of this person's."""
        with self.at_work():
            return api_key_create(name="test").secret

    def api(self) -> Client:
        """Return a program that sends a new key of this person's."""
        return Client(headers={"Authorization": f"Bearer {self.key()}"})


def person(email: str = "", *, password: str | None = None, is_operator: bool = False) -> Person:
    """Return a new person in their personal organization."""
    user = user_create(email=email or f"{uuid.uuid4().hex}@example.com", password=password, is_operator=is_operator)
    organization_id = principal_by_session(user, None).tenant.organization_id
    assert organization_id is not None
    return Person(user=user, organization_id=organization_id)


def team(*roles: str) -> list[Person]:
    """Return the people of one new organization: an owner first, then one for each of ``roles``."""
    founder = person()
    organization = organization_create(user=founder.user, name="Team")
    owner = Person(user=founder.user, organization_id=organization.pk)
    return [owner, *(member_of(owner, role) for role in roles)]


def member_of(owner: Person, role: str) -> Person:
    """Return a new person who has joined the owner's organization with ``role``."""
    joined = person()
    with owner.at_work():
        member_add(email=joined.user.email, role=role)
    return Person(user=joined.user, organization_id=owner.organization_id, role=role)
