"""The lease of a long answer is renewed before each wait that it would not outlast."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from accounts_app.tenancy.context import operator_atomic
from gateway_app.models import Provider
from gateway_app.services.chat import chat_stream
from tests.factories.gateway import chat_request
from tests.support.gateway import Road, assert_settled, books, by_loop, by_thread
from tests.support.upstream import ScriptedUpstream

REFUSE = """
CREATE FUNCTION test_refuse_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.lease_until <> OLD.lease_until AND NEW.operation_key LIKE 'no-lease:%' THEN
        RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER test_refuse_lease BEFORE UPDATE ON gateway_calls FOR EACH ROW EXECUTE FUNCTION test_refuse_lease();
"""


@pytest.fixture(autouse=True)
def patient(payer: UUID, upstream: ScriptedUpstream) -> Iterator[None]:
    """A provider whose tokens may take a minute each: longer than the lease of the first one."""
    with operator_atomic("test"):
        provider = Provider.objects.filter(key="scripted")
        kept = provider.values("between_tokens_timeout_ms").get()
        provider.update(between_tokens_timeout_ms=60_000)
    yield
    with operator_atomic("test"):
        provider.update(**kept)


@pytest.fixture
def no_leases(owner_connection: "psycopg.Connection[tuple[object, ...]]") -> Iterator[None]:
    """A database that cannot store a renewed lease."""
    owner_connection.execute(REFUSE)
    owner_connection.commit()
    yield
    owner_connection.execute("DROP TRIGGER test_refuse_lease ON gateway_calls; DROP FUNCTION test_refuse_lease()")
    owner_connection.commit()


def test_the_lease_outlasts_the_next_wait(payer: UUID, upstream: ScriptedUpstream) -> None:
    leases: list[datetime] = []
    with chat_stream(chat_request(model="scripted--slow=5")) as stream:
        leases.append(books(payer).call.lease_until)
        leases.extend(books(payer).call.lease_until for _text in stream)
    assert (leases[2] - leases[0]).total_seconds() > 30
    # Once, not with every token.
    assert len(set(leases)) == 2
    assert_settled(payer)


@pytest.mark.parametrize("road", [by_thread, by_loop])
@pytest.mark.usefixtures("no_leases")
def test_a_lease_that_cannot_be_renewed_does_not_end_the_answer(
    payer: UUID, upstream: ScriptedUpstream, road: Road
) -> None:
    outcome = road(chat_request(operation_key=f"no-lease:{uuid4()}"))
    assert outcome.result
    assert assert_settled(payer).call.ending == "completed"
