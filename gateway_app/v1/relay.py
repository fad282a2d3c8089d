"""One call from its hold to its settlement: the provider's answer on its way to the caller, all of it at once."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod

from django.conf import settings

from accounts_app.exceptions import DeepSpaceError
from gateway_app.contracts import Ending, Outcome, Settlement, StoredAnswer
from gateway_app.exceptions import UpstreamCut, UpstreamTimeout
from gateway_app.services.call import Call
from gateway_app.services.charging import NOTHING
from gateway_app.services.prompt_log import exchange_log
from gateway_app.services.upstream import UPSTREAM_ERRORS
from gateway_app.v1 import heads
from gateway_app.v1.answers import Answer
from gateway_app.v1.errors import error_of, refusal_of
from gateway_app.v1.failures import TryFailed
from gateway_app.v1.requests import Request
from gateway_app.v1.settling import settle
from gateway_app.v1.tries import Opened, Tries
from gateway_app.v1.watch import Watch, Why
from gateway_app.wire import Reading, Wanted, Wire

logger = logging.getLogger(__name__)

# Endings whose answer is given again for the same Idempotency-Key; one of nothing, which was free, is asked for anew.
KEPT = {Ending.COMPLETED, Ending.NO_USAGE}


class Relay(ABC):
    """Serves one call; ``serve`` leaves it settled, or being settled, whatever happens."""

    def __init__(
        self, request: Request, answer: Answer, call: Call, *, wire: Wire, wanted: Wanted, body: bytes
    ) -> None:
        self.request, self.answer, self.call = request, answer, call
        self.body = body
        self.wire, self.wanted = wire, wanted
        self.tries = Tries(call, wire, wanted, body)
        self.opened: Opened | None = None
        self.first_token_at: float | None = None
        self.error: DeepSpaceError | None = None
        self._began = time.monotonic()

    async def serve(self) -> None:
        """Ask the provider, hand its answer on, settle the call."""
        self.watch = Watch(self.request.receive)
        stopping: asyncio.CancelledError | None = None
        try:
            ending = await self.work()
        except asyncio.CancelledError as cancelled:
            ending = self._interrupted()
            stopping = cancelled if self.watch.why is None else None
        except TryFailed as failed:
            ending, self.error = failed.failure.ending, failed.failure.error
        except UPSTREAM_ERRORS as broken:
            ending = self.broken_off(str(broken))
        except Exception as error:  # noqa: BLE001 - logged where it becomes an answer
            ending = self._crashed(error)
        finally:
            self.watch.close()
            if self.opened is not None:
                self.opened.close()
        self.call.outcome = self._outcome()
        if self.call.request.operation_key and ending in KEPT:
            self._keep(self.stored(ending))
        settled = await settle(self.call, ending)
        exchange_log(is_wanted=self.logs_prompts, call_id=self.call.id, request=self.body, answer=self.said())
        if stopping is not None:
            raise stopping
        if ending is not Ending.CLIENT_GONE:
            await self.finish(ending, settled)

    @abstractmethod
    async def work(self) -> Ending:
        """Bring the provider's answer in; return how it ended. May be cancelled by the watch at any time."""

    @abstractmethod
    def stored(self, ending: Ending) -> StoredAnswer | None:
        """Return the answer as it is to be given again; None when it was too large to be kept."""

    @abstractmethod
    async def finish(self, ending: Ending, settled: Settlement | None) -> None:
        """Send what is still to be sent, now that the call is settled."""

    @abstractmethod
    def said(self) -> bytes:
        """Return what the caller was answered, for the log of a project that asks for it."""

    @property
    def logs_prompts(self) -> bool:
        """Whether the caller's project wants what is asked and answered in the log."""
        return self.call.card is not None and self.call.card.log_prompts

    @property
    def reading(self) -> Reading | None:
        """What followed the answer; None when none has begun."""
        return self.opened.reading if self.opened else None

    def natural_ending(self, reading: Reading) -> Ending:
        """How an answer that came to its end has ended."""
        if not reading.has_content and self.wire.kind == "chat":
            return Ending.ZERO_OUTPUT
        # Images and whatever is priced by the request need no count of tokens.
        is_counted = reading.is_reported or bool(reading.images) or self.wire.kind == "other"
        return Ending.COMPLETED if is_counted else Ending.NO_USAGE

    def broken_off(self, detail: str) -> Ending:
        """How an answer ends that the provider broke off; one that had said why it ends is whole."""
        if self.reading is not None and self.reading.finish_reason:
            return self.natural_ending(self.reading)
        logger.warning("v1.broken_off", extra={"call_id": str(self.call.id), "detail": detail[:300]})
        self.error = UpstreamCut()
        return Ending.UPSTREAM_CUT

    async def refuse(self, error: DeepSpaceError, settled: Settlement | None) -> None:
        """Answer with ``error``."""
        refusal = refusal_of(error)
        await self.answer.whole(refusal.status, refusal.body, [*refusal.headers, *heads.of_call(self.call, settled)])

    def _interrupted(self) -> Ending:
        if self.watch.why is None:  # the server stops
            return Ending.CLIENT_GONE
        task = asyncio.current_task()
        assert task
        task.uncancel()
        if self.watch.why is Why.GONE:
            return Ending.CLIENT_GONE
        if self.reading is not None and self.reading.finish_reason:
            return self.natural_ending(self.reading)
        self.error = UpstreamTimeout()
        return Ending.TIMEOUT

    def _crashed(self, error: Exception) -> Ending:
        self.error = error_of(error)
        has_output = self.reading is not None and self.reading.has_output
        return Ending.UPSTREAM_CUT if has_output else Ending.REFUSED

    def _outcome(self) -> Outcome:
        error_code = self.error.code if self.error else ""
        if self.reading is None:
            return Outcome(error_code=error_code)
        at, reported = self.first_token_at, self.reading.reported
        return Outcome(
            reported=reported,
            # An estimate is made only where it is needed.
            delivered=self.reading.delivered if reported is None else NOTHING,
            images=self.reading.images,
            finish_reason=self.reading.finish_reason,
            first_token_ms=None if at is None else round((at - self._began) * 1000),
            error_code=error_code,
        )

    def _keep(self, answer: StoredAnswer | None) -> None:
        if answer is not None:
            self.call.answer_keep(answer)


class WholeRelay(Relay):
    """An answer in one piece, whose head tells what it costs: as foreseen, or else as it was settled."""

    async def work(self) -> Ending:
        """Bring the whole answer in."""
        self.opened = await self.tries.answered()
        if self.opened.reading.has_output:
            self.first_token_at = time.monotonic()
        return self.natural_ending(self.opened.reading)

    def stored(self, ending: Ending) -> StoredAnswer | None:
        """Return the answer if it is small enough to be kept."""
        assert self.opened
        data = self.opened.data
        return StoredAnswer(200, self._content_type(), data) if len(data) <= settings.GATEWAY_REPLAY_LIMIT else None

    def said(self) -> bytes:
        """Return the whole answer."""
        return self.opened.data if self.opened else b""

    async def finish(self, ending: Ending, settled: Settlement | None) -> None:
        """Send the answer, or why there is none."""
        if self.error is not None:
            return await self.refuse(self.error, settled)
        assert self.opened
        content_type = (b"content-type", self._content_type().encode("latin-1", "replace"))
        return await self.answer.whole(200, self.opened.data, [content_type, *heads.of_call(self.call, settled)])

    def _content_type(self) -> str:
        assert self.opened
        return str(self.opened.reply.headers.get("content-type", "application/json"))
