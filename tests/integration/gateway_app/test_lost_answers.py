"""PostgreSQL goes away between a commit and its answer: what was opened is given back, what was settled stays so."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError

from billing_app.contracts import ZERO
from gateway_app.services import pipeline
from gateway_app.services.books import Answer
from gateway_app.services.call import Call
from gateway_app.services.chat import chat
from gateway_app.services.pg_wire import Wire
from tests.factories.gateway import chat_request
from tests.support.accounts import Account, account_create
from tests.support.edge import Edge, on_edge
from tests.support.gateway import assert_settled
from tests.support.upstream import ScriptedUpstream

Lose = Callable[[str], None]


@pytest.fixture
def account(committed_db: None) -> Account:
    """Somebody with 10 USD and a key."""
    return account_create()


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Let the next answer to ``do`` get lost, once its work is committed."""
    whole = Wire.ask

    def lose(do: str) -> None:
        left = [1]

        async def ask(self: Wire, statement: bytes, parameter: bytes) -> bytes:
            answer = await whole(self, statement, parameter)
            if f'"do":"{do}"'.encode() in parameter and left:
                left.pop()
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            return answer

        monkeypatch.setattr(Wire, "ask", ask)

    return lose


def test_calls_whose_opening_was_not_answered_are_given_back_at_once(
    account: Account, upstream: ScriptedUpstream, lose: Lose
) -> None:
    async def work(edge: Edge) -> None:
        lose("open")
        visits = await asyncio.gather(*(edge.ask() for _number in range(4)))
        refused = [visit for visit in visits if visit.status == 503]
        assert refused
        assert all(visit.error["code"] == "unavailable" for visit in refused)
        assert {visit.status for visit in visits} <= {200, 503}

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    given_back = [call for call in now.calls if call.ending == "refused"]
    assert [(call.error_code, call.charged_usd) for call in given_back] == [("unavailable", ZERO)] * len(given_back)
    assert given_back
    assert len(upstream.served) == len(now.calls) - len(given_back)


def test_an_operation_whose_opening_was_not_answered_can_be_done_again(
    account: Account, upstream: ScriptedUpstream, lose: Lose
) -> None:
    async def work(edge: Edge) -> None:
        lose("open")
        headers = {"Idempotency-Key": "one"}
        assert (await edge.ask(headers=headers)).status == 503
        await edge.end()
        assert (await edge.ask(headers=headers)).status == 200

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert sorted(call.ending for call in now.calls) == ["completed", "refused"]
    assert len(upstream.served) == 1


def test_a_settlement_that_was_not_answered_is_not_made_twice(
    account: Account, upstream: ScriptedUpstream, lose: Lose
) -> None:
    async def work(edge: Edge) -> None:
        lose("settle")
        assert (await edge.ask()).status == 200

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "completed"


def test_our_own_rooms_give_back_too(payer: UUID, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pipeline._write

    def lost(call: Call) -> Answer:
        whole(call)
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_write", lost)
        with pytest.raises(OperationalError):
            chat(chat_request(operation_key="one"))
    assert assert_settled(payer).call.error_code == "unavailable"
    assert chat(chat_request(operation_key="one")).text
    assert len(upstream.served) == 1
