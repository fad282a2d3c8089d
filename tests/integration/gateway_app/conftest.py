"""A payer with a wallet of their own, committed, so that threads, event loops and other processes see it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from accounts_app.tenancy.context import tenant_context
from tests.factories.billing import organization_with
from tests.support.gateway import BooksClosed
from tests.support.services import OWNER, database_url


@pytest.fixture
def payer(committed_db: None) -> Iterator[UUID]:
    """An organization with 10 USD, bound without a transaction: as a worker has it."""
    organization_id = organization_with("10")
    with tenant_context(organization_id):
        yield organization_id


@pytest.fixture
def books_closed(payer: UUID) -> BooksClosed:
    """A block within which no usage of the payer can be recorded, so that settlements fail."""

    @contextmanager
    def closed() -> Iterator[None]:
        with psycopg.connect(database_url(OWNER, os.environ["DEEPSPACE_TEST_DATABASE"]), autocommit=True) as owner:
            owner.execute(_CLOSE.format(payer=payer))
            try:
                yield
            finally:
                owner.execute("DROP TRIGGER books_closed ON openai_usage; DROP FUNCTION books_closed")

    return closed


_CLOSE = """
    CREATE FUNCTION books_closed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the books are closed';
    END $$;
    CREATE TRIGGER books_closed BEFORE INSERT ON openai_usage
        FOR EACH ROW WHEN (NEW.organization_id = '{payer}') EXECUTE FUNCTION books_closed();
"""
