"""Django speaking as the owner of the tables, to tamper with what the runtime role cannot touch."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections, transaction

from config.runtime.postgres import OWNER
from tests.support.services import database_url


@pytest.fixture
def as_owner(committed_db: None) -> Iterator[None]:
    """Run the test as the owner, in a transaction that is rolled back."""
    runtime = connections["default"]
    owner = runtime.copy()
    login = psycopg.conninfo.conninfo_to_dict(database_url(OWNER, os.environ["DEEPSPACE_TEST_DATABASE"]))
    owner.settings_dict |= {"USER": login["user"], "PASSWORD": login["password"]}
    owner.settings_dict["OPTIONS"].pop("pool")
    connections["default"] = owner
    try:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
    finally:
        owner.close()
        connections["default"] = runtime
