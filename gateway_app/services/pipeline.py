"""The pipeline that every model call passes: steps → hold → provider → settle → steps.

A step is a small class with two coroutines; ``settings.GATEWAY_STEPS`` lists the steps in order. What is to be plugged
in (retrieval, tools, further policies) is one more step in that list; docs/pipeline.md has a worked example. The hold
and the settlement are no steps: nothing that is plugged in can skip them.

Each function comes twice: for event loops (``a…``), and for threads, which write through Django's own connection.
"""

import logging
import time
from contextlib import suppress
from functools import lru_cache

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils.module_loading import import_string

from accounts_app.tenancy.context import bound
from config import tracing
from gateway_app.contracts import Ending, Settlement
from gateway_app.exceptions import CallTakenOver
from gateway_app.services import calls, metrics
from gateway_app.services.books import Answer, Item, abooks_write, books_write
from gateway_app.services.call import Call
from gateway_app.services.house import house_run
from gateway_app.services.recovery import operation_free

logger = logging.getLogger(__name__)

# Seconds between the tries to settle. Each broken connection of the pool may cost one.
SETTLE_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)


class Step:
    """One step. The defaults do nothing, so that a step overrides only what it needs."""

    async def before(self, call: Call) -> None:
        """Prepare ``call`` or refuse it by raising a DeepSpaceError; nothing is held yet.

        May wait for a network. Database work goes through ``sync_to_async`` with ``call.tenant`` bound.
        """

    async def after(self, call: Call, ending: Ending) -> None:
        """Take note of how ``call`` ended, after its settlement, once; also when it was refused by a later step or by
        the hold (REFUSED, ``call.settlement`` None). What is raised here is logged and changes nothing."""


@lru_cache(maxsize=8)
def _steps(paths: tuple[str, ...]) -> tuple[Step, ...]:
    return tuple(import_string(path)() for path in paths)


def steps() -> tuple[Step, ...]:
    """Return the configured steps in order."""
    return _steps(tuple(settings.GATEWAY_STEPS))


async def abegin(call: Call) -> None:
    """Run every step's ``before`` and hold the call's most; afterwards it may be dispatched.

    When the operation was done before, ``call.replayed`` is its call and nothing may be dispatched. Raises what a step
    raises, InsufficientFunds, BudgetExceeded, CallInProgress, OperationConflict, NotReplayable, CacheStale (read card
    and catalogue again, make a new Call), django.db.OperationalError when PostgreSQL is away: the call may be open all
    the same, its answer lost on the way, and is to be settled as `calls.unopened` once PostgreSQL is back.
    """
    try:
        await _before(call)
        with _timed(call, "hold"):
            calls.opened(call, await abooks_write(calls.opening(call)))
    except BaseException:
        await afinish(call, Ending.REFUSED)
        raise


def begin(call: Call) -> None:
    """The same for a thread with the call's tenant bound; no connection is kept afterwards.

    An operation whose earlier call's process is gone is freed first.
    """
    try:
        house_run(_before(call))
        with _timed(call, "hold"), bound(call.tenant):
            answer = _write(call)
            if answer["outcome"] == "in_progress" and operation_free(answer["call"]):
                answer = _write(call)
            calls.opened(call, answer)
    except BaseException as error:
        if isinstance(error, OperationalError | InterfaceError):
            _give_back(call)
        house_run(afinish(call, Ending.REFUSED))
        raise
    finally:
        connection_release()


async def asettle(call: Call, ending: Ending, item: Item, *, within: float = 0.0) -> Settlement:
    """Book how ``call`` ended, once; ``item`` is its `calls.settlement`. Run it shielded from cancellation.

    One that nobody waits for may be written ``within`` so many seconds, together with others.
    Raises CallTakenOver when somebody else has settled it, django.db.OperationalError when PostgreSQL is away: then it
    can be tried again as often as one likes.
    """
    with _timed(call, "settle"):
        return calls.settled(call, ending, await abooks_write(item, within=within))


def settle(call: Call, ending: Ending) -> Settlement:
    """The same for threads, with the ``after`` steps behind it.

    A database that was restarted meanwhile is asked again for a few seconds: the answer has been given, and its
    money is held. Raises CallTakenOver, OperationalError at last.
    """
    item = calls.settlement(call, ending)
    for pause in (*SETTLE_PAUSES, None):
        try:
            with _timed(call, "settle"), bound(call.tenant), transaction.atomic(durable=True):
                settlement = calls.settled(call, ending, books_write(item))
                calls.announce(call, ending)
            break
        except (OperationalError, InterfaceError):
            logger.warning("call.settle_failed", extra={"call_id": str(call.id)}, exc_info=True)
            if pause is None:
                raise
            time.sleep(pause)
        except CallTakenOver:
            logger.warning("call.taken_over", extra={"call_id": str(call.id), "ending": ending.value})
            raise
        finally:
            connection_release()
    house_run(afinish(call, ending))
    return settlement


async def afinish(call: Call, ending: Ending) -> None:
    """Run the ``after`` of every step whose ``before`` ran; never raises."""
    for step in call.steps_done:
        try:
            await step.after(call, ending)
        except Exception:
            logger.exception("step.after_failed", extra={"step": type(step).__name__, "call_id": str(call.id)})
    call.steps_done.clear()


async def aretry(call: Call, *, error: str, http_status: int | None = None, upstream_request_id: str = "") -> None:
    """Note that the try at ``call.candidate`` failed, and go on to the next one (if it is the only one: the same)."""
    calls.retry_next(call, error=error, http_status=http_status, upstream_request_id=upstream_request_id)
    calls.leased(call, await abooks_write(calls.retrying(call)))


def retry(call: Call, *, error: str, http_status: int | None = None, upstream_request_id: str = "") -> None:
    """The same for threads."""
    calls.retry_next(call, error=error, http_status=http_status, upstream_request_id=upstream_request_id)
    try:
        with bound(call.tenant), transaction.atomic(durable=True):
            calls.leased(call, books_write(calls.retrying(call)))
    finally:
        connection_release()


async def aextend(call: Call, output_tokens: int) -> bool:
    """Hold enough for ``output_tokens`` of output, and some more; False when wallet or budget cannot pay for it."""
    return calls.extended(call, await abooks_write(calls.extending(call, output_tokens)))


async def alease(call: Call, seconds: float) -> None:
    """Let the call's lease outlast a wait of that many seconds."""
    calls.leased(call, await abooks_write(calls.leasing(call, seconds)))


def lease(call: Call, seconds: float) -> None:
    """The same for threads."""
    try:
        with bound(call.tenant), transaction.atomic(durable=True):
            calls.leased(call, books_write(calls.leasing(call, seconds)))
    finally:
        connection_release()


def connection_release() -> None:
    """Give this thread's connection back to the pool: a call may wait for minutes and needs none meanwhile."""
    if not connection.in_atomic_block:
        connection.close()


async def _before(call: Call) -> None:
    for step in steps():
        call.steps_done.append(step)
        began = time.perf_counter()
        try:
            await step.before(call)
        finally:
            _note(call, type(step).__name__, time.perf_counter() - began)


def _give_back(call: Call) -> None:
    """Settle a call that may be open, its answer lost. Otherwise its money is held until its lease ends."""
    if not calls.may_be_open(call):
        return
    connection_release()
    with suppress(CallTakenOver, OperationalError, InterfaceError):
        settle(call, calls.unopened(call))


def _write(call: Call) -> Answer:
    with transaction.atomic(durable=True):
        return books_write(calls.opening(call))


class _timed:  # noqa: N801 - read as a statement; a generator would cost four times as much
    """Notes how long the block takes as a step of ``call``."""

    __slots__ = ("_began", "_call", "_name")

    def __init__(self, call: Call, name: str) -> None:
        self._call, self._name = call, name

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        _note(self._call, self._name, time.perf_counter() - self._began)


def _note(call: Call, name: str, seconds: float) -> None:
    call.timings[name] = call.timings.get(name, 0) + seconds
    metrics.step_timed(name, seconds)
    if tracing.ENDPOINT:
        tracing.past(f"step {name}", seconds, trace_id=call.trace_id)
