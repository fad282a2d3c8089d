"""POST /v1/…: from a request to a call that is held for, and to its relay."""

from functools import lru_cache

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError

from accounts_app.exceptions import AddressRefused, PermissionRefused
from accounts_app.services.addresses import client_address
from accounts_app.tenancy.context import bound
from billing_app.exceptions import ModelNotPriced
from gateway_app.contracts import CallRequest, StoredAnswer
from gateway_app.exceptions import CacheStale, ModelNotFound, ModelUnavailable
from gateway_app.services.call import Call
from gateway_app.services.operations import stored_answer
from gateway_app.services.pipeline import abegin, connection_release
from gateway_app.v1 import heads
from gateway_app.v1.answers import Answer
from gateway_app.v1.cards import Standing
from gateway_app.v1.errors import ApiError
from gateway_app.v1.relay import Relay, WholeRelay
from gateway_app.v1.relay_stream import StreamRelay
from gateway_app.v1.requests import Request
from gateway_app.v1.settling import give_back
from gateway_app.wire import WIRES, Wanted, Wire, wire_of

PURPOSE = "v1"
# What was decided by may change again while the call begins anew.
_BEGINNINGS = 4
# What a card or a catalogue of a while ago may wrongly refuse.
_REFUSALS = (AddressRefused, PermissionRefused, ModelNotFound, ModelNotPriced, ModelUnavailable)


async def call_serve(request: Request, answer: Answer, path: str) -> None:
    """Serve one call of ``path`` ("chat/completions"); raises DeepSpaceErrors as long as nothing is held."""
    standing = Standing(request.secret())
    await standing.read()
    if path not in WIRES:
        _require_priced(standing, path)
    body = await request.body(limit=settings.GATEWAY_BODY_LIMIT, seconds=settings.GATEWAY_BODY_SECONDS)
    wire = wire_of(path)
    wanted = wire.read(body, _content_type(request))
    call = await _begun(request, answer, standing, wire, wanted)
    if call.replayed is not None:
        await _replay(answer, call)
        return
    relay: type[Relay] = StreamRelay if wanted.is_stream else WholeRelay
    await relay(request, answer, call, wire=wire, wanted=wanted, body=body).serve()


async def _begun(request: Request, answer: Answer, standing: Standing, wire: Wire, wanted: Wanted) -> Call:
    """Return the call, held for. What refuses it is read again once, if it was read a while ago."""
    wants_proof = True
    for _number in range(_BEGINNINGS):
        call = None
        try:
            _require_served(standing, wire, wanted)
            call = _call(request, standing, wire, wanted)
            await abegin(call)
        except CacheStale:
            pass
        except OperationalError:
            if call is not None:
                give_back(call)
            raise
        except _REFUSALS:
            if not (wants_proof and standing.may_be_old):
                raise
            wants_proof = False
        else:
            return call
        finally:
            answer.extra = heads.of_limits(call) if call else []
        await standing.renew()
    raise CacheStale


def _call(request: Request, standing: Standing, wire: Wire, wanted: Wanted) -> Call:
    card = standing.caller.card
    key = request.operation_key()
    return Call(
        request=CallRequest(
            endpoint=wire.path,
            model=wanted.model,
            input_bound=wanted.input_bound,
            kind=wire.kind,
            max_output=wanted.max_output,
            choices=wanted.choices,
            is_stream=wanted.is_stream,
            images=wanted.images,
            image_tier=wanted.image_tier,
            operation_key=f"{PURPOSE}:{card.api_key_id}:{key}" if key else "",
            request_hash=wanted.body_hash,
            purpose=PURPOSE,
        ),
        snapshot=standing.snapshot,
        tenant=card.tenant,
        trace_id=request.trace_id,
        card=card,
        client_address=caller_address(request),
        limits=standing.caller.limits,
    )


def _require_priced(standing: Standing, path: str) -> None:
    """Raise ApiError for a path that nothing in the catalogue prices: it never reaches a provider."""
    if not any(path in model.paths for model in standing.snapshot.models.values()):
        raise ApiError(404, f"There is no /v1/{path} here.", code="unknown_url")


def _require_served(standing: Standing, wire: Wire, wanted: Wanted) -> None:
    """Raise for a model that is unknown, or not served at this path: its price is for another kind of work."""
    model = standing.snapshot.model(wanted.model)
    served = wire.path in model.paths if wire.kind == "other" else wire.kind == model.kind
    if not served:
        raise ModelNotFound(f"The model {model.key} is not served at /v1/{wire.path}.")


async def _replay(answer: Answer, call: Call) -> None:
    """Give the stored answer of the same operation again, byte for byte."""
    stored = await sync_to_async(_stored, thread_sensitive=False)(call)
    headers = [(b"content-type", stored.content_type.encode("latin-1")), (b"idempotent-replayed", b"true")]
    await answer.whole(stored.http_status, stored.body, headers)


def _stored(call: Call) -> StoredAnswer:
    assert call.replayed
    try:
        with bound(call.tenant):
            return stored_answer(call.replayed)
    finally:
        connection_release()


def _content_type(request: Request) -> str:
    """Return the body's type: JSON when it is not told; raises ApiError (415) for what no wire reads."""
    value = request.headers.get(b"content-type", b"application/json").decode("latin-1")
    kind = value.partition(";")[0].strip().lower()
    if kind not in {"application/json", "multipart/form-data"}:
        raise ApiError(415, "Send application/json, or multipart/form-data with files.", code="unsupported_media_type")
    return value


def caller_address(request: Request) -> str:
    """Return where the request comes from: the peer, or what trusted proxies say of it."""
    return _address(request.forwarded_for, request.peer)


@lru_cache(maxsize=4096)
def _address(forwarded_for: str, peer: str) -> str:
    return client_address({"x-forwarded-for": forwarded_for}, peer)
