"""Steps for tests, plugged into the pipeline by its setting."""

from typing import ClassVar

from django.db import connection

from accounts_app.exceptions import Conflict
from gateway_app.contracts import Ending
from gateway_app.services.pipeline import Call, Step
from tests.support.gateway_worker import die


class DieBefore(Step):
    """Kills its process on the way in."""

    def before(self, call: Call) -> None:
        die()


class DieAfter(Step):
    """Kills its process while the call is being booked."""

    def after(self, call: Call, ending: Ending) -> None:
        die()


class Refuse(Step):
    """Refuses every call, after the hold has been made when it stands behind Hold."""

    def before(self, call: Call) -> None:
        raise Conflict("Not today.")


class FailOnce(Step):
    """Fails the first time that a call is booked."""

    failures: ClassVar[list[Ending]] = []

    def after(self, call: Call, ending: Ending) -> None:
        self.failures.append(ending)
        raise Conflict("The books are closed.")


class Watch(Step):
    """Notes whether a transaction was open when a step was asked."""

    seen: ClassVar[list[bool]] = []

    def before(self, call: Call) -> None:
        self.seen.append(connection.in_atomic_block)

    def after(self, call: Call, ending: Ending) -> None:
        self.seen.append(connection.in_atomic_block)
