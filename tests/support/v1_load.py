"""Calls of /v1 by lot: bodies, manners and disconnects, the same for the same seed; and a client that can misbehave."""

import asyncio
import json
import random
import re
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

CHAT, EMBEDDING = "money-chat", "money-embedding"
_WORDS = ("green", "tea", "Wasser", "绿茶", "чай", "😀", "slowly", "steep")
_RETRIED = (409, 429, 500, 502, 503, 504)
_PATIENCE = 60


@dataclass(frozen=True)
class Draw:
    """One call. ``mark`` stands in its body and tells the upstream what to do. ``leave_after``: bytes of the answer
    after which the client leaves; -1: before its own request is whole. ``key``: its Idempotency-Key."""

    mark: str
    path: str
    fields: dict[str, Any]
    key: str = ""
    leave_after: int | None = None
    is_abrupt: bool = False
    retries: int = 0

    @property
    def body(self) -> bytes:
        """The request's body."""
        return json.dumps(self.fields, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Seen:
    """What the client saw of one try: all bytes of its answer, or those that it read before it left."""

    draw: Draw
    answer: bytes = b""
    has_left: bool = False

    @property
    def status(self) -> int:
        """The answer's status; 0 when there was none."""
        return int(self.answer[9:12]) if len(self.answer) >= 12 else 0

    @property
    def is_whole(self) -> bool:
        """Whether it read the answer to its end."""
        head, _end, body = self.answer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            return body.endswith(b"0\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return bool(length) and int(length[1] if length else 0) == len(body)

    @property
    def trace_id(self) -> str:
        """The call's trace id, as the answer told it."""
        found = re.search(rb"\nx-deepspace-trace-id: ([0-9a-f]{32})\r", self.answer, re.IGNORECASE)
        return found[1].decode() if found else ""

    @property
    def body(self) -> bytes:
        """The answer's body as far as it came."""
        head, _end, body = self.answer.partition(b"\r\n\r\n")
        return _dechunked(body) if b"transfer-encoding: chunked" in head.lower() else body

    def events(self) -> list[dict[str, Any]]:
        """The JSON of each whole event of a stream."""
        lines = self.body.split(b"\n\n")[:-1]
        datas = [line.partition(b"data: ")[2] for line in lines]
        return [json.loads(data) for data in datas if data not in (b"", b"[DONE]")]


def draws(seed: int, count: int) -> list[Draw]:
    """Return ``count`` calls; about one in ten repeats the operation of an earlier one."""
    lot = random.Random(seed)
    found: list[Draw] = []
    for number in range(count):
        keyed = [draw for draw in found[-40:] if draw.key]
        if keyed and lot.random() < 0.1:
            again = lot.choice(keyed)
            found.append(replace(again, leave_after=_leaves(lot), retries=lot.randint(0, 2)))
        else:
            found.append(_draw(lot, f"mark-{seed}-{number}-"))
    return found


def _draw(lot: random.Random, mark: str) -> Draw:
    text = f"{mark} " + " ".join(lot.choices(_WORDS, k=lot.randint(0, 25)))
    path = lot.choices(["chat/completions", "completions", "responses", "embeddings"], weights=[75, 8, 10, 7])[0]
    fields: dict[str, Any] = {"model": EMBEDDING if path == "embeddings" else CHAT}
    if path == "chat/completions":
        fields["messages"] = [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]
    else:
        fields["prompt" if path == "completions" else "input"] = text
    if path != "embeddings" and lot.random() < 0.7:
        fields["stream"] = True
        if path != "responses" and lot.random() < 0.5:
            fields["stream_options"] = {"include_usage": lot.random() < 0.8}
    if path != "embeddings" and lot.random() < 0.4:
        fields["max_output_tokens" if path == "responses" else "max_tokens"] = lot.randint(1, 60)
    key = f"operation-{mark}" if lot.random() < 0.2 else ""
    return Draw(mark, path, fields, key, _leaves(lot), lot.random() < 0.5, lot.choice([0, 0, 1, 2]))


def _leaves(lot: random.Random) -> int | None:
    if lot.random() > 0.2:
        return None
    return lot.choice([-1, 0, lot.randint(1, 600), lot.randint(1, 6_000), lot.randint(1, 6_000)])


async def load(calls: Sequence[Draw], ports: Sequence[int], secret: str, *, at_once: int = 50) -> list[Seen]:
    """Make all calls, so many at once, in turn at the servers on ``ports``; return what was seen of each try."""
    turns = asyncio.Semaphore(at_once)

    async def one(number: int, draw: Draw) -> list[Seen]:
        async with turns:
            seen = [await call(draw, ports[number % len(ports)], secret)]
            for _retry in range(draw.retries):
                if seen[-1].has_left or (seen[-1].status and seen[-1].status not in _RETRIED):
                    break
                await asyncio.sleep(0.05)
                seen.append(await call(draw, ports[number % len(ports)], secret))
            return seen

    results = await asyncio.gather(*(one(number, draw) for number, draw in enumerate(calls)))
    return [seen for tries in results for seen in tries]


async def call(draw: Draw, port: int, secret: str) -> Seen:
    """Make one try of a call over a connection of its own."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Seen(draw)
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _exchange(draw, secret, reader, writer)
    except TimeoutError as error:
        raise AssertionError(f"No end of an answer within {_PATIENCE} s: {draw}") from error
    except OSError:
        return Seen(draw)
    finally:
        with suppress(OSError):
            if draw.is_abrupt:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.close()


async def _exchange(draw: Draw, secret: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Seen:
    body = draw.body
    lines = [f"POST /v1/{draw.path} HTTP/1.1", "host: localhost", f"authorization: Bearer {secret}"]
    lines += ["content-type: application/json", f"content-length: {len(body)}", "connection: close"]
    if draw.key:
        lines.append(f"idempotency-key: {draw.key}")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    if draw.leave_after == -1:
        writer.write(head + body[: len(body) // 2])
        await writer.drain()
        return Seen(draw, has_left=True)
    writer.write(head + body)
    await writer.drain()
    answer = b""
    while draw.leave_after is None or len(answer) < draw.leave_after:
        data = await reader.read(65_536 if draw.leave_after is None else draw.leave_after - len(answer))
        if not data:
            return Seen(draw, answer)
        answer += data
    return Seen(draw, answer, has_left=True)


def _dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, end, body = body.partition(b"\r\n")
        if not end:
            break
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole
