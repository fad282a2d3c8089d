"""A payer with a wallet of their own, committed, so that threads, event loops and other processes see it."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from accounts_app.tenancy.context import tenant_context
from tests.factories.billing import organization_with


@pytest.fixture
def payer(committed_db: None) -> Iterator[UUID]:
    """An organization with 10 USD, bound without a transaction: as a worker has it."""
    organization_id = organization_with("10")
    with tenant_context(organization_id):
        yield organization_id
