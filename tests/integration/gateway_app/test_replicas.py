"""More than one web process, and PgBouncer between them and the database: more calls, the same walls."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction

from accounts_app.models import ApiKey
from accounts_app.tenancy.context import tenant_context
from config.runtime.ports import free_port
from gateway_app.models import GatewayCall
from tests.support import services as support
from tests.support.accounts import Account
from tests.support.pgbouncer import pgbouncer, program
from tests.support.v1 import V1, async_sdk, sdk, settled_books, user

needs_pgbouncer = pytest.mark.skipif(
    not program() and os.environ.get("DEEPSPACE_REQUIRE_PGBOUNCER") != "1", reason="PgBouncer is not installed."
)


@pytest.fixture
def bouncer(django_db_setup: None) -> Iterator[str]:
    """The URL of the test's database through PgBouncer, which has two connections for everybody."""
    with tempfile.TemporaryDirectory(prefix="deepspace-bouncer-") as folder:
        Path(folder).chmod(0o755)
        url = support.database_url(support.APP, os.environ["DEEPSPACE_TEST_DATABASE"])
        with pgbouncer(Path(folder) / "bouncer", url, size=2) as through:
            yield through


@pytest.fixture
def through_bouncer(committed_db: None, bouncer: str) -> Iterator[None]:
    """Django's own connections of this process through PgBouncer."""
    original = dict(connection.settings_dict)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict.update(HOST="127.0.0.1", PORT=str(urlsplit(bouncer).port))
    yield
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict.update(original)


async def _calls(account: Account, *, at_once: int, each: int) -> None:
    client = async_sdk(account)

    async def some() -> None:
        for _ in range(each):
            await client.chat.completions.create(model="scripted", messages=user(), max_tokens=20)

    await asyncio.gather(*(some() for _ in range(at_once)))
    await client.close()


def _at(account: Account, port: int) -> Account:
    return Account(account.user, account.tenant, account.secret, f"http://127.0.0.1:{port}")


def test_two_web_processes_share_one_wallet_and_one_set_of_books(v1: V1, caller: Account) -> None:
    port = free_port()
    v1.spawn(port)

    async def both() -> None:
        await asyncio.gather(_calls(caller, at_once=8, each=5), _calls(_at(caller, port), at_once=8, each=5))

    asyncio.run(both())
    books = settled_books(caller.organization_id, calls=80)
    assert {call.ending for call in books.calls} == {"completed"}
    # Each process wrote its own part.
    assert len({call.owner for call in books.calls}) == 2


@needs_pgbouncer
def test_callers_of_two_organizations_share_the_servers_connections_and_nothing_else(
    v1: V1, make_caller: Callable[..., Account], bouncer: str
) -> None:
    ports = [free_port(), free_port()]
    for port in ports:
        v1.spawn(port, {"DATABASE_URL": bouncer})
    accounts = [make_caller(), make_caller()]

    async def mixed() -> None:
        await asyncio.gather(*(_calls(_at(one, port), at_once=6, each=4) for one in accounts for port in ports))

    asyncio.run(mixed())
    for account in accounts:
        books = settled_books(account.organization_id, calls=48)
        assert {call.organization_id for call in books.calls} == {account.organization_id}
        assert {call.user_id for call in books.calls} == {account.user.pk}
    models = [model.id for model in sdk(_at(accounts[0], ports[0])).models.list()]
    assert "scripted" in models


def _seen(account: Account, *, roll_back: bool) -> set[UUID]:
    """Return whose keys the account sees; then commit, or roll back."""
    with tenant_context(account.organization_id, account.user.pk), transaction.atomic():
        seen = set(ApiKey.objects.values_list("organization_id", flat=True))
        transaction.set_rollback(roll_back)
    return seen


@needs_pgbouncer
@pytest.mark.usefixtures("through_bouncer")
def test_one_after_another_on_one_connection_sees_only_its_own(make_caller: Callable[..., Account]) -> None:
    accounts = [make_caller(), make_caller()]
    for number in range(12):
        account = accounts[number % 2]
        assert _seen(account, roll_back=number % 3 == 0) == {account.organization_id}
        # Nobody in particular sees nobody's.
        with transaction.atomic():
            assert ApiKey.objects.count() == 0


@needs_pgbouncer
@pytest.mark.usefixtures("through_bouncer")
def test_many_threads_on_two_connections_see_only_their_own(make_caller: Callable[..., Account]) -> None:
    accounts = [make_caller(), make_caller(), make_caller()]

    def look(number: int) -> bool:
        account = accounts[number % 3]
        try:
            return _seen(account, roll_back=number % 5 == 0) == {account.organization_id}
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as threads:
        assert all(threads.map(look, range(300)))


@needs_pgbouncer
@pytest.mark.usefixtures("through_bouncer")
def test_nothing_of_a_tenant_stays_on_the_servers_connection(make_caller: Callable[..., Account], bouncer: str) -> None:
    account = make_caller()
    names = ("app.organization_id", "app.user_id", "app.operator", "app.api_key_hash")
    query = "SELECT " + ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in names)
    for failing in (False, True):
        with tenant_context(account.organization_id, account.user.pk), transaction.atomic():
            assert not GatewayCall.objects.filter(pk=uuid4()).exists()
            transaction.set_rollback(failing)
        for _ in range(4):
            with psycopg.connect(bouncer, autocommit=True, prepare_threshold=None) as raw:
                assert set(raw.execute(query.encode()).fetchone() or ()) == {""}
