"""Server-sent events in and out: bytes as they are read, whole events, the bytes to hand on.

Only whole events are handed on, so that one can be kept back, wherever the reads were cut. In the usual case (a read
ends where an event ends, nothing is kept back) the very bytes that came are handed on, without a copy.
"""

import json
import re
from collections.abc import Callable
from typing import Any

DONE = b"[DONE]"
# The largest single event that is waited for, in bytes: an image in base64.
LONGEST = 64 * 1024 * 1024

_CRLF = re.compile(rb"\r\n?")
_decoder: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once


class Malformed(ValueError):
    """What came is no event stream of JSON objects."""


class EventFilter:
    """``feed`` it with what was read; it asks ``take`` about each event's data, and hands on what is to be relayed.

    ``take(payload, event)`` gets the data and the whole event with its blank line; it says whether to relay it.
    Comments, ``id:`` and ``retry:`` lines are never handed on: after an ``id:`` the official client stumbles over
    the comments that keep a connection alive.
    """

    __slots__ = ("_rest", "_take")

    def __init__(self, take: Callable[[bytes, bytes], bool]) -> None:
        self._take = take
        self._rest = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Return what to relay of the events that ``data`` completes. Raises Malformed for an endless event."""
        if b"\r" in data or (self._rest and self._rest[-1] == 0x0D):
            data = self._with_newlines(data)
        if not self._rest and data.endswith(b"\n\n"):
            return self._relay(data)
        searched = max(0, len(self._rest) - 1)
        self._rest += data
        end = self._rest.rfind(b"\n\n", searched)
        if end < 0:
            if len(self._rest) > LONGEST:
                raise Malformed("An event without an end.")
            return b""
        whole = bytes(self._rest[: end + 2])
        del self._rest[: end + 2]
        return self._relay(whole)

    def _with_newlines(self, data: bytes) -> bytes:
        """Return ``data`` with every line end as one newline; one that a read has cut in two counts once."""
        if self._rest and self._rest[-1] == 0x0D:
            self._rest.pop()
            data = b"\r" + data
        if data.endswith(b"\r"):
            return _CRLF.sub(b"\n", data[:-1]) + b"\r"
        return _CRLF.sub(b"\n", data)

    def _relay(self, whole: bytes) -> bytes:
        take, kept, dropped = self._take, [], False
        for text in whole.split(b"\n\n"):
            if text.startswith(b"data: ") and b"\n" not in text:
                payload: bytes | None = text[6:]
                event = text
            elif not text:
                continue
            else:
                event, payload = _fields(text)
                dropped = dropped or event != text
            if payload is not None and take(payload, event):
                kept.append(event)
            else:
                dropped = True
        if not dropped:
            return whole
        return b"".join(event + b"\n\n" for event in kept)


def _fields(text: bytes) -> tuple[bytes, bytes | None]:
    """Return the event without the lines that are not relayed, and its data: None when it has none."""
    lines = [line for line in text.split(b"\n") if line.startswith((b"data:", b"event:"))]
    parts = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(lines), b"\n".join(parts) if parts else None


def json_object(payload: bytes) -> dict[str, Any]:
    """Return the JSON object that ``payload`` is; raises Malformed for anything else."""
    text = payload.decode("utf-8", "replace").strip()
    try:
        value, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError):
        raise Malformed("The provider sent something that is no JSON object.") from None
    if end != len(text) or not isinstance(value, dict):
        raise Malformed("The provider sent something that is no JSON object.")
    return value


def event_bytes(content: dict[str, Any], *, event: str = "") -> bytes:
    """Return one event with ``content`` as its data."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
