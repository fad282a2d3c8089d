"""Steps for tests, plugged into the pipeline by its setting."""

from typing import ClassVar

from django.db import connection

from accounts_app.exceptions import Conflict
from gateway_app.contracts import Ending
from gateway_app.services.call import Call
from gateway_app.services.pipeline import Step
from tests.support.gateway_worker import die


class DieBefore(Step):
    """Kills its process on the way in."""

    async def before(self, call: Call) -> None:
        die()


class DieAfter(Step):
    """Kills its process when the call has been booked."""

    async def after(self, call: Call, ending: Ending) -> None:
        die()


class Refuse(Step):
    """Refuses every call."""

    async def before(self, call: Call) -> None:
        raise Conflict("Not today.")


class FailAfter(Step):
    """Fails when the call has been booked."""

    async def after(self, call: Call, ending: Ending) -> None:
        raise Conflict("Too late.")


class Watch(Step):
    """Notes what it is asked, and whether a transaction was open meanwhile."""

    seen: ClassVar[list[tuple[str, bool]]] = []

    async def before(self, call: Call) -> None:
        self.seen.append(("before", connection.in_atomic_block))

    async def after(self, call: Call, ending: Ending) -> None:
        self.seen.append((ending.value, connection.in_atomic_block))
