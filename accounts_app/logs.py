"""Structured logs: one JSON object a line, with the trace id and the tenant of the work that wrote it.

Secrets are taken out of every line (`accounts_app.redaction`). Prompts and answers are not logged at all, but for
projects that ask for it: those go to the logger ``deepspace.prompts``, which an operator can send elsewhere.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from accounts_app.redaction import redact
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import tenant_or_nobody

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """``{"at", "level", "logger", "message", "trace_id", …extra}``."""

    def format(self, record: logging.LogRecord) -> str:
        tenant = tenant_or_nobody()
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "trace_id": current_trace_id(),
            "organization_id": tenant.organization_id,
            "operator": tenant.operator,
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _PLAIN)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps({k: v for k, v in line.items() if v not in ("", None)}, default=str, ensure_ascii=False)
        # The whole line, for here message, fields and the exception's text first stand together.
        return redact(text)
