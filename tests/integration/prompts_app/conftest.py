from collections.abc import Iterator
from decimal import Decimal

import pytest

from accounts_app.tenancy.context import operator_atomic, tenant_context
from billing_app.services.wallets import wallet_topup
from tests.factories.accounts import Person, person


@pytest.fixture
def writer(db: None) -> Person:
    """Someone with 5 USD."""
    someone = person()
    with operator_atomic("test"):
        wallet_topup(organization_id=someone.organization_id, amount=Decimal(5), key=str(someone.organization_id))
    return someone


@pytest.fixture
def bound_writer(writer: Person) -> Iterator[Person]:
    """The writer with their tenant bound and no transaction of their own, as services that call models need it."""
    with tenant_context(writer.organization_id, writer.id, writer.role):
        yield writer
