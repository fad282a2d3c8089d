"""The reference: a bare ASGI application on the same server and client, without key, parsing, money or limits."""

import os
from typing import Any

import aiohttp

_BASE = os.environ.get("BENCH_UPSTREAM", "")
_sessions: list[aiohttp.ClientSession] = []


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Send the body on, and hand back what comes."""
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {"content-type": "application/json", "authorization": "Bearer bench"}
    async with _sessions[0].post(_BASE + scope["path"], data=body, headers=headers) as response:
        kind = response.headers.get("content-type", "application/json").encode()
        await send({"type": "http.response.start", "status": response.status, "headers": [(b"content-type", kind)]})
        async for data in response.content.iter_any():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
