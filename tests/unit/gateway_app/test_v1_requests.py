"""What the edge reads of a request."""

import asyncio

import pytest

from gateway_app.v1.errors import ApiError
from gateway_app.v1.requests import ClientGone, Request
from tests.support.asgi import Visit

TRACE = "0af7651916cd43dd8448eb211c80319c"


def request(visit: Visit) -> Request:
    return Request(visit.scope, visit.receive)


async def body(visit: Visit, *, limit: int = 1000, seconds: float = 5) -> bytes:
    return await request(visit).body(limit=limit, seconds=seconds)


def test_key_comes_from_bearer_authorization_only() -> None:
    assert request(Visit(headers={"Authorization": "Bearer dsk_1"})).secret() == "dsk_1"
    assert request(Visit(headers={"Authorization": "bearer  dsk_1 "})).secret() == "dsk_1"
    assert request(Visit(headers={"Authorization": "Basic dsk_1"})).secret() == ""
    assert request(Visit(headers={"api-key": "dsk_1"})).secret() == ""


def test_trace_id_is_the_callers_own_when_it_is_one() -> None:
    assert request(Visit(headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})).trace_id == TRACE
    assert request(Visit(headers={"x-trace-id": TRACE})).trace_id == TRACE


@pytest.mark.parametrize("value", ["", "00-xyz-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01", TRACE])
def test_trace_id_is_new_when_the_callers_is_none(value: str) -> None:
    found = request(Visit(headers={"traceparent": value})).trace_id
    assert len(found) == 32
    assert found not in {TRACE, "0" * 32}


def test_forwarded_for_joins_all_lines() -> None:
    visit = Visit(headers={"x-forwarded-for": "203.0.113.7"})
    visit.scope["headers"].append((b"x-forwarded-for", b"10.0.0.1, 10.0.0.2"))
    assert request(visit).forwarded_for == "203.0.113.7,10.0.0.1, 10.0.0.2"


@pytest.mark.parametrize("key", ["a", "~" * 255, "550e8400-e29b-41d4-a716-446655440000"])
def test_idempotency_key_is_taken(key: str) -> None:
    assert request(Visit(headers={"Idempotency-Key": key})).operation_key() == key


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ä"])
def test_idempotency_key_that_cannot_be_kept_is_refused(key: str) -> None:
    with pytest.raises(ApiError) as raised:
        request(Visit(headers={"Idempotency-Key": key})).operation_key()
    assert (raised.value.status, raised.value.param) == (400, "Idempotency-Key")


async def test_body_comes_in_pieces() -> None:
    assert await body(Visit(bodies=[b"ab", b"", b"cd"])) == b"abcd"


async def test_body_with_a_length_needs_no_end() -> None:
    visit = Visit(headers={"content-length": "4"}, bodies=[b"ab", b"cd", b"never asked for"])
    assert await body(visit) == b"abcd"


@pytest.mark.parametrize("headers", [{"content-length": "1001"}, {}])
async def test_body_that_is_too_large_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as raised:
        await body(Visit(headers=headers, bodies=[b"x" * 600, b"x" * 600]))
    assert raised.value.status == 413


async def test_body_with_a_length_that_is_no_number_is_refused() -> None:
    with pytest.raises(ApiError) as raised:
        await body(Visit(headers={"content-length": "-1"}))
    assert raised.value.status == 400


async def test_body_that_does_not_come_in_time_is_refused() -> None:
    visit = Visit(headers={"content-length": "4"}, bodies=[b"ab"], is_whole=False)
    with pytest.raises(ApiError) as raised:
        await body(visit, seconds=0.05)
    assert raised.value.status == 408


async def test_caller_who_leaves_while_sending_is_not_answered() -> None:
    visit = Visit(headers={"content-length": "4"}, bodies=[b"ab"], is_whole=False)
    reading = asyncio.ensure_future(body(visit))
    visit.leave()
    with pytest.raises(ClientGone):
        await reading
