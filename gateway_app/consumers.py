import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser

from accounts_app.exceptions import InvalidInput, NotAuthenticated, NotFound, PermissionRefused
from accounts_app.services.addresses import client_address
from accounts_app.services.principals import ACTIVE_ORGANIZATION, principal_by_bearer, principal_by_session
from accounts_app.tenancy.context import Tenant
from gateway_app.services.streams import StreamReader, stream_authorise
from gateway_app.services.streams.position import position_of

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DONE, TOO_SLOW, INVALID, UNAUTHENTICATED, REFUSED, NOT_FOUND = 1000, 1013, 4400, 4401, 4403, 4404
REFUSALS: dict[type[Exception], int] = {
    InvalidInput: INVALID,
    NotAuthenticated: UNAUTHENTICATED,
    PermissionRefused: REFUSED,
    NotFound: NOT_FOUND,
}
SEND_TIMEOUT = 30  # seconds; a reader that takes no frame for so long is cut off and may come back


async def stream_consumer(scope: Scope, receive: Receive, send: Send) -> None:
    """``ws/streams/<id>/?after=<seq>``: one JSON frame ``{seq, type, at, data}`` a message, closed after the end.

    Close codes: 1000 after the end, 1013 reader too slow, 4400 bad ``after``, 4401 not signed in, 4403 the key's
    scopes or the address do not allow it, 4404 not there or not the caller's.
    """
    await receive()
    # Accepted first: a refused handshake could not tell the browser why.
    await send({"type": "websocket.accept"})
    try:
        reader = await _authorised(scope)
    except tuple(REFUSALS) as refusal:
        code = next(code for kind, code in REFUSALS.items() if isinstance(refusal, kind))
        await send({"type": "websocket.close", "code": code})
        return
    forwarding, gone = asyncio.create_task(_forward(reader, send)), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({forwarding, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Granian closes nothing while something waits to receive.
        await _cancelled(gone)
        await _cancelled(forwarding)
    if not forwarding.cancelled():
        await send({"type": "websocket.close", "code": forwarding.result()})


async def _authorised(scope: Scope) -> StreamReader:
    stream_id = scope["url_route"]["kwargs"]["stream_id"]
    after = position_of(parse_qs(scope["query_string"].decode("latin-1")).get("after", [""])[0])
    tenant = await _tenant(scope)
    await stream_authorise(tenant, stream_id)
    return StreamReader(tenant, stream_id, after)


async def _tenant(scope: Scope) -> Tenant:
    headers = dict(scope["headers"])
    scheme, _space, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        said = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        address = client_address(said, (scope.get("client") or ("",))[0])
        principal = await database_sync_to_async(principal_by_bearer)(secret, address, "read")
    else:
        principal = await database_sync_to_async(_by_session)(scope)
    if principal.tenant.organization_id is None:
        raise NotFound
    tenant: Tenant = principal.tenant
    return tenant


def _by_session(scope: Scope) -> Any:
    user = scope["user"]
    if isinstance(user, AnonymousUser) or not user.is_authenticated:
        raise NotAuthenticated
    return principal_by_session(user, scope["session"].get(ACTIVE_ORGANIZATION))


async def _forward(reader: StreamReader, send: Send) -> int:
    """Send the frames; returns the code to close with."""
    async with aclosing(reader.frames()) as frames:
        async for frame in frames:
            try:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await send({"type": "websocket.send", "text": json.dumps(frame, separators=(",", ":"))})
            except TimeoutError:
                return TOO_SLOW
    return DONE


async def _gone(receive: Receive) -> None:
    """Return when the reader has left; readers have nothing to say, so whatever they send is dropped."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait({task})
