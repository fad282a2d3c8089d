"""An answer whose cost is certain and held does not wait for the books; every other one does (ADR 0018)."""

import asyncio
from decimal import Decimal

import pytest
from pytest_django import Settings

from gateway_app.services import calls
from gateway_app.services.pg_wire import Wire
from tests.factories.gateway import cost
from tests.support.accounts import Account, account_create
from tests.support.edge import Edge, events, on_edge
from tests.support.gateway import assert_settled
from tests.support.upstream import Behaviour, ScriptedUpstream

# Shorter than a caller waits for a settlement at most.
A_WHILE = 0.2


class Books:
    """Open or closed for settlements."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.waiting = 0

    async def are_asked(self) -> None:
        """Return when the first settlement waits for the gate."""
        async with asyncio.timeout(60):
            while not self.waiting:  # noqa: ASYNC110 - they are counted where no event is at hand
                await asyncio.sleep(0.01)


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> Books:
    """Books that settle nothing until their gate is set."""
    books, whole = Books(), Wire.ask

    async def ask(self: Wire, statement: bytes, parameter: bytes) -> bytes:
        if b'"do":"settle"' in parameter:
            books.waiting += 1
            await books.gate.wait()
        return await whole(self, statement, parameter)

    monkeypatch.setattr(Wire, "ask", ask)
    return books


@pytest.fixture
def account(committed_db: None) -> Account:
    """Somebody with 10 USD and a key."""
    return account_create()


def test_an_answer_is_given_while_the_books_are_busy(
    account: Account, upstream: ScriptedUpstream, books: Books
) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(max_tokens=200)
        assert visit.status == 200
        await books.are_asked()
        (served,) = upstream.wait_idle()
        due = cost(served.prompt_tokens, served.completion_tokens)
        assert Decimal(visit.headers["x-deepspace-cost"]) == due
        assert Decimal(visit.headers["x-deepspace-balance"]) == 10 - due
        books.gate.set()

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.charged_usd > 0


def test_a_stream_ends_while_the_books_are_busy(account: Account, upstream: ScriptedUpstream, books: Books) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(stream=True)
        assert events(visit.body)[-1] == "[DONE]"
        await books.are_asked()
        books.gate.set()

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.charged_usd > 0


def test_the_next_call_finds_what_the_last_one_gave_back(committed_db: None, upstream: ScriptedUpstream) -> None:
    account = account_create(balance=Decimal("0.0018"))

    async def work(edge: Edge) -> None:
        visits = [await edge.ask(max_tokens=200) for _number in range(3)]
        assert [visit.status for visit in visits] == [200] * 3
        held = Decimal(visits[0].headers["x-deepspace-hold"])
        assert held < Decimal("0.0018") < 2 * held, "there must be money for one hold at a time"
        assert Decimal(visits[-1].headers["x-deepspace-balance"]) < held
        assert (await edge.ask(max_tokens=200)).status == 402

    on_edge(account.secret, work)
    assert_settled(account.organization_id, paid_in="0.0018")


def test_settlements_that_nobody_waits_for_are_written_together(
    account: Account, upstream: ScriptedUpstream, books: Books, settings: Settings
) -> None:
    settings.GATEWAY_SETTLE_WITHIN_MS = 1_000
    books.gate.set()

    async def work(edge: Edge) -> None:
        assert [(await edge.ask(max_tokens=200)).status for _number in range(5)] == [200] * 5
        await books.are_asked()

    on_edge(account.secret, work)
    assert_settled(account.organization_id)
    assert books.waiting < 5


def test_money_that_is_to_come_back_is_there_for_the_next_call(
    committed_db: None, upstream: ScriptedUpstream, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the settlement before it may rest."""
    settings.GATEWAY_SETTLE_WITHIN_MS = 60_000
    monkeypatch.setattr(calls, "PLENTY", 0)
    account = account_create(balance=Decimal("0.0018"))

    async def work(edge: Edge) -> None:
        assert [(await edge.ask(max_tokens=200)).status for _number in range(3)] == [200] * 3
        assert (await edge.ask(max_tokens=200)).status == 402

    on_edge(account.secret, work)
    assert_settled(account.organization_id, paid_in="0.0018")


def test_an_operation_is_in_the_books_before_it_is_answered(
    account: Account, upstream: ScriptedUpstream, books: Books
) -> None:
    async def work(edge: Edge) -> None:
        visit = edge.visit(headers={"Idempotency-Key": "one"})
        task = edge.begin(visit)
        await books.are_asked()
        await asyncio.sleep(A_WHILE)
        assert books.waiting == 1
        assert not task.done()
        books.gate.set()
        await asyncio.wait_for(task, 30)
        assert visit.status == 200

    on_edge(account.secret, work)
    assert_settled(account.organization_id)


def test_what_outgrew_its_hold_is_told_as_the_books_have_it(
    committed_db: None, upstream: ScriptedUpstream, books: Books
) -> None:
    account = account_create(balance=1)
    upstream.behave(Behaviour(text="tea", usage={"prompt_tokens": 5_000_000, "completion_tokens": 1}))

    async def work(edge: Edge) -> None:
        visit = edge.visit(max_tokens=200)
        task = edge.begin(visit)
        await books.are_asked()
        await asyncio.sleep(A_WHILE)
        assert not task.done()
        books.gate.set()
        await asyncio.wait_for(task, 30)
        assert Decimal(visit.headers["x-deepspace-cost"]) < cost(5_000_000, 1)

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id, paid_in="1")
    assert now.call.shortfall_usd > 0
