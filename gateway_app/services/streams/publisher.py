"""The writing end of a stream, used by the worker that runs something."""

import json
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import redis
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from accounts_app.tenancy.context import bound, current_tenant
from gateway_app.exceptions import StreamClosed
from gateway_app.services.streams import buffer, rows
from gateway_app.services.streams.events import DELTA, END, RESTART, StreamEvent, clean, end_of, merged
from gateway_app.services.streams.wakeup import call_later, wake_readers

logger = logging.getLogger(__name__)

COALESCE = 0.03  # seconds between two delta events of a stream
RETRY = 1.0  # seconds between attempts to reach a Redis that is down


@dataclass
class _Draft:
    """An event that Redis has not numbered yet."""

    type: str
    at: str
    data: dict[str, Any]
    key: str


class StreamPublisher:
    """Publish the events of one stream; safe to use from several threads.

    Make it in the stream's tenant, outside a transaction. It goes on where an earlier publisher of the stream
    stopped, even one that was killed. When Redis is down everything is kept here and sent, or stored by `close`,
    later. Leaving the ``with`` block sends what is pending; only `close` ends the stream, once and for all.
    Raises NotFound for a stream of someone else, StreamClosed for an event after the end.
    """

    def __init__(self, stream_id: UUID, *, restart_step: str = "") -> None:
        self.stream_id = stream_id
        self._tenant = current_tenant()
        self._lock = threading.RLock()
        self._unsent: list[_Draft] = []
        self._pending: list[str] = []
        self._pending_step = ""
        self._timer_set = False
        self._last_flush = 0.0
        self._retry_at = 0.0
        row = rows.stream_get(stream_id)
        self._stored = row.is_closed
        self._journal = self._newest([StreamEvent.from_row(event) for event in row.events])
        self._ended = self._stored or _has_ended(self._journal)
        self._offsets = _offsets(self._journal)
        if restart_step:
            self.restart(restart_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._flush()
            if not self._ended and self._unsent:
                # Redis is down: the next publisher of this stream finds it in Postgres.
                self._number_here()
                with bound(self._tenant):
                    rows.stream_checkpoint(self.stream_id, list(merged(self._journal)))

    def publish(self, event_type: str, data: dict[str, Any]) -> None:
        """Publish one event; ``data`` is JSON (UUID, Decimal and datetime become strings)."""
        plain = json.loads(json.dumps(clean(data), cls=DjangoJSONEncoder))
        with self._lock:
            self._refuse_after_end()
            self._draft_delta()
            self._draft(event_type, plain)
            self._send()

    def delta(self, step: str, text: str) -> None:
        """Append ``text`` to what ``step`` writes. The first piece leaves at once, further ones about every 30 ms."""
        if not text:
            return
        with self._lock:
            self._refuse_after_end()
            if step != self._pending_step:
                self._draft_delta()
                self._pending_step = step
            self._pending.append(clean(text))
            wait = self._last_flush + COALESCE - time.monotonic()
            if wait <= 0:
                self._flush()
            else:
                self._set_timer(wait)

    def restart(self, step: str) -> None:
        """Say that ``step`` begins again: its text so far is void."""
        with self._lock:
            if step == self._pending_step:
                self._pending.clear()
            self.publish(RESTART, {"step": step})
            self._offsets[step] = 0

    def close(self, outcome: dict[str, Any] | None = None) -> None:
        """Publish the final event and store the whole, with ``outcome`` (JSON), in Postgres; again does nothing."""
        plain = json.loads(json.dumps(clean(outcome or {}), cls=DjangoJSONEncoder))
        with self._lock:
            if not self._ended:
                self._draft_delta()
                self._draft(END, {})
                self._retry_at = 0.0
                self._send()
                self._number_here()
            self._ended = True
            if not self._stored:
                # Another publisher may have written to the stream meanwhile: the buffer has that too.
                events = list(merged(self._newest(self._journal)))
                with bound(self._tenant):
                    rows.stream_close(self.stream_id, events, plain)
                self._stored = True

    def keep(self) -> None:
        """Store what was published so far in Postgres, for a stream that nobody may write to for days."""
        with self._lock:
            self._flush()
            if not self._ended:
                with bound(self._tenant):
                    rows.stream_checkpoint(self.stream_id, list(merged(self._journal)))

    def _refuse_after_end(self) -> None:
        if self._ended:
            raise StreamClosed

    def _flush_on_time(self) -> None:
        with self._lock:
            self._timer_set = False
            if not self._ended:
                self._flush()

    def _set_timer(self, wait: float) -> None:
        if not self._timer_set:
            self._timer_set = True
            call_later(wait, self._flush_on_time)

    def _flush(self) -> None:
        self._last_flush = time.monotonic()
        self._draft_delta()
        self._send()

    def _draft_delta(self) -> None:
        text, step = "".join(self._pending), self._pending_step
        if text:
            self._pending.clear()
            offset = self._offsets.get(step, 0)
            self._offsets[step] = offset + len(text)
            self._draft(DELTA, {"step": step, "offset": offset, "text": text})

    def _draft(self, event_type: str, data: dict[str, Any]) -> None:
        draft = _Draft(event_type, timezone.now().isoformat(), data, secrets.token_hex(8))
        self._unsent.append(draft)

    def _send(self) -> None:
        """Send the drafts in order. While Redis is down, try again once a second, also when nothing more comes."""
        if not self._unsent:
            return
        if time.monotonic() >= self._retry_at:
            try:
                self._send_all()
            except redis.RedisError as error:
                if not self._retry_at:
                    logger.warning("stream %s: Redis is down (%s); events are kept here", self.stream_id, error)
                self._retry_at = time.monotonic() + RETRY
            else:
                self._retry_at = 0.0
        if self._unsent:
            self._set_timer(RETRY)

    def _send_all(self) -> None:
        while self._unsent and not self._ended:
            draft = self._unsent[0]
            seq = self._append(draft)
            if seq == buffer.LOST:
                buffer.buffer_restore(self.stream_id, list(merged(self._journal)))
            elif seq == buffer.ENDED:
                self._ended = True
                self._unsent.clear()
            else:
                self._number(seq)
        wake_readers(self.stream_id)

    def _append(self, draft: _Draft) -> int:
        known = self._journal[-1].seq if self._journal else 0
        body = buffer.event_body(draft.at, draft.data)
        return buffer.buffer_append(self.stream_id, event_type=draft.type, body=body, key=draft.key, known=known)

    def _number(self, seq: int) -> None:
        draft = self._unsent.pop(0)
        self._journal.append(StreamEvent(seq=seq, type=draft.type, at=draft.at, data=draft.data, first=seq))

    def _number_here(self) -> None:
        while self._unsent:
            self._number(self._journal[-1].seq + 1 if self._journal else 1)

    def _newest(self, kept: list[StreamEvent]) -> list[StreamEvent]:
        """Return what was published so far: Redis has the newest, unless it was down or has lost something."""
        try:
            found = buffer.buffer_all(self.stream_id)
        except redis.RedisError:
            return kept
        known = kept[-1].seq if kept else 0
        return found if _is_whole(found) and found[-1].seq >= known else kept


def _has_ended(events: list[StreamEvent]) -> bool:
    return bool(events) and events[-1].type == END


def _is_whole(events: list[StreamEvent]) -> bool:
    expected = 1
    for event in events:
        if event.first > expected:
            return False
        expected = event.seq + 1
    return bool(events)


def _offsets(events: list[StreamEvent]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    for event in events:
        if event.type == DELTA:
            offsets[event.data["step"]] = end_of(event)
        elif event.type == RESTART:
            offsets[event.data["step"]] = 0
    return offsets
