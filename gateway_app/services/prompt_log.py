"""What callers wrote and models answered, in the log of those projects only that ask for it.

Off unless the key's project has ``log_prompts``; our own rooms' calls are of no project, so they are never logged. A
logger of its own, so that an operator can keep these lines apart from the others or drop them: ``deepspace.prompts``.
"""

import logging
from uuid import UUID

logger = logging.getLogger("deepspace.prompts")

# Characters of one text that a line takes; a log is not an archive.
LONGEST = 20_000


def exchange_log(*, is_wanted: bool, call_id: UUID, request: bytes | str, answer: bytes | str) -> None:
    """Log one exchange when the project asks for it; ``request`` and ``answer`` as they went over the wire."""
    if is_wanted:
        logger.info(
            "call.exchange", extra={"call_id": str(call_id), "request": _text(request), "answer": _text(answer)}
        )


def _text(wire: bytes | str) -> str:
    text = wire.decode(errors="replace") if isinstance(wire, bytes) else wire
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
