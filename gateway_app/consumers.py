import asyncio
import json
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser

from accounts_app.exceptions import InvalidInput, NotAuthenticated, NotFound
from accounts_app.services.principals import ACTIVE_ORGANIZATION, principal_by_key, principal_by_session
from accounts_app.tenancy.context import Tenant
from gateway_app.services.streams import StreamReader, stream_authorise
from gateway_app.services.streams.position import position_of

DONE, TOO_SLOW, INVALID, UNAUTHENTICATED, NOT_FOUND = 1000, 1013, 4400, 4401, 4404
SEND_TIMEOUT = 30  # seconds; a reader that takes no frame for so long is cut off and may come back


class StreamConsumer(AsyncWebsocketConsumer):
    """``ws/streams/<id>/?after=<seq>``: one JSON frame ``{seq, type, at, data}`` a message, closed after the end.

    Close codes: 1000 after the end, 1013 reader too slow, 4400 bad ``after``, 4401 not signed in, 4404 not there or not
    the caller's.
    """

    # The reader joins the stream's group itself, so that a closed stream can be read while Redis is down.
    channel_layer_alias = None
    _forwarding: "asyncio.Task[None] | None" = None

    async def connect(self) -> None:
        # Accepted first: a refused handshake could not tell the browser why.
        await self.accept()
        stream_id: UUID = self.scope["url_route"]["kwargs"]["stream_id"]
        try:
            after = position_of(parse_qs(self.scope["query_string"].decode()).get("after", [""])[0])
            tenant = await self._tenant()
            await stream_authorise(tenant, stream_id)
        except InvalidInput:
            await self.close(INVALID)
        except NotAuthenticated:
            await self.close(UNAUTHENTICATED)
        except NotFound:
            await self.close(NOT_FOUND)
        else:
            self._forwarding = asyncio.create_task(self._forward(StreamReader(tenant, stream_id, after)))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Readers have nothing to say."""

    async def disconnect(self, code: int) -> None:
        if self._forwarding:
            self._forwarding.cancel()
            with suppress(asyncio.CancelledError):
                await self._forwarding

    async def _forward(self, reader: StreamReader) -> None:
        try:
            async with aclosing(reader.frames()) as frames:
                async for frame in frames:
                    async with asyncio.timeout(SEND_TIMEOUT):
                        await self.send(json.dumps(frame, separators=(",", ":")))
        except TimeoutError:
            await self.close(TOO_SLOW)
        else:
            await self.close(DONE)

    async def _tenant(self) -> Tenant:
        headers = dict(self.scope["headers"])
        scheme, _space, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return (await database_sync_to_async(principal_by_key)(secret.strip())).tenant
        user = self.scope["user"]
        if isinstance(user, AnonymousUser) or not user.is_authenticated:
            raise NotAuthenticated
        return await database_sync_to_async(_session_tenant)(user, self.scope["session"])


def _session_tenant(user: Any, session: Any) -> Tenant:
    tenant = principal_by_session(user, session.get(ACTIVE_ORGANIZATION)).tenant
    if tenant.organization_id is None:
        raise NotFound
    return tenant
