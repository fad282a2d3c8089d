"""The end of a call in the books: exactly once, whoever leaves meanwhile, also when Postgres is away for a while.

The answer does not wait where its cost is certain and held; nor is its settlement in a hurry then (docs/adr/0018).
"""

import asyncio
import logging
import time

import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError

from gateway_app.contracts import Ending, Settlement
from gateway_app.exceptions import CallTakenOver
from gateway_app.services import calls
from gateway_app.services.books import Item, books_wake
from gateway_app.services.call import Call
from gateway_app.services.pipeline import afinish, asettle

logger = logging.getLogger(__name__)

# The caller waits for the books for no longer than this; its answer is there.
_CALLER_WAITS_SECONDS = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError, TimeoutError, OSError)

# The event loop itself keeps no hold of its tasks.
_running: set["asyncio.Task[None]"] = set()
Booked = asyncio.Future[Settlement | None]


async def settle(call: Call, ending: Ending) -> Settlement | None:
    """Settle ``call`` in a task of its own, which goes on when the caller is cancelled or has waited long enough.

    Return what it costs, at once where that is foreseen; None when it is not known yet, or somebody else decided it.
    """
    loop = asyncio.get_running_loop()
    booked: Booked = loop.create_future()
    _keep(loop.create_task(_settle(call, ending, booked)))
    timer = loop.call_later(_CALLER_WAITS_SECONDS, _tell, booked, None)
    try:
        return await booked
    finally:
        timer.cancel()


def give_back(call: Call) -> None:
    """Settle ``call`` in a task of its own if it is open: PostgreSQL went away before it said whether it is."""
    if calls.may_be_open(call):
        _keep(asyncio.get_running_loop().create_task(_give_back(call, calls.unopened(call))))


async def settled_all(seconds: float) -> None:
    """Wait for the settlements that are going on in the running loop, for that many seconds."""
    loop = asyncio.get_running_loop()
    tasks = [task for task in _running if task.get_loop() is loop]
    if tasks:
        books_wake()
        await asyncio.wait(tasks, timeout=seconds)


def _keep(task: "asyncio.Task[None]") -> None:
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _give_back(call: Call, ending: Ending) -> None:
    try:
        await _until_back(call, ending, calls.settlement(call, ending))
    except CallTakenOver:
        pass  # It never was open.
    except Exception:
        logger.exception("v1.not_settled", extra={"call_id": str(call.id), "ending": ending.value})


async def _settle(call: Call, ending: Ending, booked: Booked) -> None:
    result = None
    try:
        item = calls.settlement(call, ending)
        within = 0.0
        if told := calls.foreseen(call, item):
            _tell(booked, told)
            within = settings.GATEWAY_SETTLE_WITHIN_MS / 1000 if calls.leaves_plenty(call) else 0.0
        result = await _until_back(call, ending, item, within=within)
    except CallTakenOver:
        logger.warning("v1.taken_over", extra={"call_id": str(call.id), "ending": ending.value})
    except Exception:
        # Its lease will end, and recovery settles what is left.
        logger.exception("v1.not_settled", extra={"call_id": str(call.id), "ending": ending.value})
    # The answer need not wait for what the steps do afterwards.
    _tell(booked, result)
    await afinish(call, ending)


def _tell(booked: Booked, result: Settlement | None) -> None:
    # Whoever asked may have left, or waited long enough.
    if not booked.done():
        booked.set_result(result)


async def _until_back(call: Call, ending: Ending, item: Item, *, within: float = 0.0) -> Settlement:
    deadline = time.monotonic() + settings.GATEWAY_SETTLE_SECONDS
    pause = _FIRST_PAUSE
    while True:
        try:
            return await asettle(call, ending, item, within=within)
        except _AWAY:
            if time.monotonic() + pause > deadline:
                raise
            logger.warning("v1.settle_later", extra={"call_id": str(call.id)}, exc_info=True)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
