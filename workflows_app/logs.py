"""Log lines of steps: whatever any logger says while a handler works, and what it says itself with ``ctx.log``.

The handler of the standard library's loggers is here, and what a line is made of; see `services.run_logs` for where
lines go. Django reads this module with its settings, so it knows no models.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from accounts_app.ids import uuid7
from accounts_app.redaction import redact

# Characters of a line's text, and of its fields as JSON.
LONGEST_MESSAGE = 4_000
LONGEST_DATA = 8_000
# What a step says itself; and prompts, which are logged for those alone who asked for them.
STEP_LOGGER = "workflows.step"
_LEFT_OUT = ("deepspace.prompts",)
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True)
class Line:
    """One line, free of secrets and of what the database cannot hold. ``data`` is JSON."""

    level: str
    logger: str
    message: str
    data: dict[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    id: UUID = field(default_factory=uuid7)

    def as_json(self) -> dict[str, Any]:
        """The line as the database takes it."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat()
        plain = {"level": self.level, "logger": self.logger, "message": self.message, "data": self.data}
        return plain | {"id": str(self.id), "at": at}


Collect = Callable[[Line], None]
_collect: ContextVar[Collect | None] = ContextVar("run_logs", default=None)


@contextmanager
def collecting(collect: Collect) -> Iterator[None]:
    """Give every line of the block to ``collect``. Threads that the block starts are heard if they copy its context."""
    token = _collect.set(collect)
    try:
        yield
    finally:
        _collect.reset(token)


def step_log(message: str, /, *, level: str = "info", **data: Any) -> None:
    """Say something about the step under way: it is stored with the run and appears live.

    ``level``: debug, info, warning or error. ``data``: fields of the line, JSON. Secrets are taken out. What is said
    here is kept whatever LOG_LEVEL is; outside a step it goes to the process's log alone.
    """
    number = _LEVELS[level]
    logging.getLogger(STEP_LOGGER).log(number, message, extra={"data": data} if data else None)
    collect = _collect.get()
    if collect is not None:
        collect(_line(number, STEP_LOGGER, str(message), data))


class RunLogHandler(logging.Handler):
    """Takes what is logged while a step is carried out, from INFO; otherwise does nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Collect the record. What goes wrong with it is told on stderr, and does not reach the step."""
        collect = _collect.get()
        if collect is None or record.levelno < logging.INFO or record.name in (STEP_LOGGER, *_LEFT_OUT):
            return
        try:
            collect(_of_record(record))
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)


def _of_record(record: logging.LogRecord) -> Line:
    data = {key: value for key, value in vars(record).items() if key not in _PLAIN}
    if record.exc_info and record.exc_info[0] is not None:
        # The end says what happened.
        data["exception"] = logging.Formatter().formatException(record.exc_info)[-LONGEST_DATA // 2 :]
    return _line(record.levelno, record.name, record.getMessage(), data, record.created)


def _line(number: int, logger: str, message: str, data: dict[str, Any], at: float | None = None) -> Line:
    # Before they are cut: half a secret is not recognized as one.
    text = redact(_storable(message))
    return Line(
        level=_name(number),
        logger=logger[:120],
        message=text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…",
        data=_bounded(data) if data else {},
        at=at or time.time(),
    )


def _name(number: int) -> str:
    if number >= logging.CRITICAL:
        return "critical"
    return next((name for name, least in reversed(_LEVELS.items()) if number >= least), "debug")


def _bounded(data: dict[str, Any]) -> dict[str, Any]:
    text = redact(json.dumps(_storable(data), default=lambda value: _storable(str(value)), ensure_ascii=False))
    if len(text) > LONGEST_DATA:
        return {"truncated": text[:LONGEST_DATA] + "…"}
    try:
        fields = json.loads(text)
    except ValueError:
        # A secret of this system's own that looked like JSON took a bracket with it.
        return {"text": text}
    return fields if isinstance(fields, dict) else {"text": text}


def _storable(value: Any, depth: int = 0) -> Any:
    """The value without what Postgres cannot hold: NUL, half characters, numbers that are none, endless nesting."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list | tuple) and depth > 8:
        return "…"
    if isinstance(value, dict):
        return {_storable(str(key)): _storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item, depth + 1) for item in value]
    return value
