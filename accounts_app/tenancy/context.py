"""Who a piece of work is done for.

The tenant of the running request, job or socket is a context variable. Our database backend
(`accounts_app.tenancy.postgresql`) writes it into each transaction as it begins, with local
``set_config``, where the row-level security policies read it. Nothing outlives the transaction, so a
pooled connection never carries one tenant's context to the next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from accounts_app.exceptions import TenantRequired


@dataclass(frozen=True)
class Tenant:
    """The organization worked for, and who works. ``operator`` names a job or person above all tenants."""

    organization_id: UUID | None = None
    user_id: UUID | None = None
    role: str = ""
    operator: str = ""
    api_key_hash: str = ""

    def settings(self) -> tuple[str, ...]:
        """Values for app.organization_id, app.user_id, app.operator and app.api_key_hash, in that order."""
        return (str(self.organization_id or ""), str(self.user_id or ""), self.operator, self.api_key_hash)


NOBODY = Tenant()
_current: ContextVar[Tenant] = ContextVar("tenant", default=NOBODY)


def tenant_or_nobody() -> Tenant:
    """Return the bound tenant, or the empty one, which sees no tenant's rows."""
    return _current.get()


def current_tenant() -> Tenant:
    """Return the bound tenant; raises TenantRequired when no organization is bound."""
    tenant = _current.get()
    if tenant.organization_id is None:
        raise TenantRequired
    return tenant


def current_organization_id() -> UUID:
    """Return the bound organization's id; raises TenantRequired when none is bound."""
    organization_id = current_tenant().organization_id
    assert organization_id is not None
    return organization_id


def current_user_id() -> UUID:
    """Return the bound person's id; raises TenantRequired for work that is nobody's in particular."""
    user_id = current_tenant().user_id
    if user_id is None:
        raise TenantRequired
    return user_id


@contextmanager
def bound(tenant: Tenant) -> Iterator[Tenant]:
    """Bind ``tenant`` for the block. Transactions begun inside see its rows; an open one is switched over and back."""
    token = _current.set(tenant)
    switched = connection.in_atomic_block
    if switched:
        connection.apply_tenant()  # type: ignore[attr-defined]
    try:
        yield tenant
    finally:
        _current.reset(token)
        if switched and connection.in_atomic_block:
            connection.apply_tenant()  # type: ignore[attr-defined]


@contextmanager
def bound_by_statement(tenant: Tenant) -> Iterator[Tenant]:
    """Bind ``tenant`` for the rest of the open transaction, whose settings a statement has switched over already.

    For a statement that finds out whose row it takes. The settings of a transaction around it are put back.
    """
    token = _current.set(tenant)
    try:
        yield tenant
    finally:
        _current.reset(token)


@contextmanager
def tenant_context(organization_id: UUID, user_id: UUID | None = None, role: str = "") -> Iterator[Tenant]:
    """Bind an organization without opening a transaction: for work that must commit in between (model calls)."""
    with bound(Tenant(organization_id=organization_id, user_id=user_id, role=role)) as tenant:
        yield tenant


@contextmanager
def tenant_atomic(organization_id: UUID, user_id: UUID | None = None, role: str = "") -> Iterator[Tenant]:
    """Bind an organization and open a transaction in it: the usual frame of one read or one use case."""
    with tenant_context(organization_id, user_id, role) as tenant, transaction.atomic():
        yield tenant


@contextmanager
def operator_context(name: str) -> Iterator[Tenant]:
    """Bind the operator context called ``name``, which sees all tenants: system jobs and the admin only."""
    if not name:
        raise ValueError("An operator context needs a name.")
    with bound(Tenant(operator=name)) as tenant:
        yield tenant


@contextmanager
def operator_atomic(name: str) -> Iterator[Tenant]:
    """Bind the operator context called ``name`` and open a transaction in it."""
    with operator_context(name) as tenant, transaction.atomic():
        yield tenant
