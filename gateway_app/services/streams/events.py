"""The events of a stream, and how neighbouring deltas become one."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

DELTA, RESTART, END = "delta", "restart", "end"


@dataclass(frozen=True)
class StreamEvent:
    """One event. ``seq`` counts from 1 without gaps; ``at`` is ISO 8601 in UTC.

    A merged delta bears the number of the last delta in it, ``first`` the number of the first. It begins at the
    first one's offset, so applying it to a text that already holds a part of it changes nothing.
    """

    seq: int
    type: str
    at: str
    data: dict[str, Any]
    first: int

    def frame(self) -> dict[str, Any]:
        """Return what readers are sent: ``{seq, type, at, data}``."""
        return {"seq": self.seq, "type": self.type, "at": self.at, "data": self.data}

    def row(self) -> dict[str, Any]:
        """Return what is stored in Postgres."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "StreamEvent":
        """Return the event that `row` gave."""
        return cls(**row)


def merged(events: Iterable[StreamEvent]) -> Iterator[StreamEvent]:
    """Yield the events with each run of neighbouring deltas of one step joined into one."""
    run: list[StreamEvent] = []
    for event in events:
        if run and not _follows(run[-1], event):
            yield _joined(run)
            run = []
        run.append(event)
    if run:
        yield _joined(run)


def end_of(delta: StreamEvent) -> int:
    """Return the offset in its step, in code points, where the text of this delta ends."""
    return int(delta.data["offset"]) + len(delta.data["text"])


def clean(value: Any) -> Any:
    """Return ``value`` with what Postgres or UTF-8 cannot hold (NUL, lone surrogates) replaced by U+FFFD.

    Each is replaced by exactly one code point, so offsets stay true.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-32", "surrogatepass").decode("utf-32", "replace")
    if isinstance(value, dict):
        return {clean(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def _follows(before: StreamEvent, after: StreamEvent) -> bool:
    return (
        before.type == after.type == DELTA
        and before.data["step"] == after.data["step"]
        and end_of(before) == after.data["offset"]
    )


def _joined(run: list[StreamEvent]) -> StreamEvent:
    head, tail = run[0], run[-1]
    if head is tail:
        return head
    data = {**head.data, "text": "".join(event.data["text"] for event in run)}
    return StreamEvent(seq=tail.seq, type=DELTA, at=tail.at, data=data, first=head.first)
