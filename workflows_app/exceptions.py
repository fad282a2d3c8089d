"""Errors of this room; see accounts_app.exceptions for their frame."""

from collections.abc import Mapping
from typing import ClassVar

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import Conflict, DeepSpaceError, FieldError, InvalidInput, NotFound, TooManyRequests


class ConfigInvalid(InvalidInput):
    """A workflow document has errors; ``details`` name each by its JSON pointer."""

    code = "invalid_config"
    default_message = _("The workflow has errors.")


class WorkspaceUnknown(NotFound):
    """There is no workspace with this key, or it is switched off."""

    code = "unknown_workspace"
    default_message = _("There is no such workspace, or it is switched off.")


class RunActive(Conflict):
    """The subject has a run that has not finished."""

    code = "run_active"
    default_message = _("A run is under way already. Wait until it has finished, or cancel it.")


class RunStateConflict(Conflict):
    """The run is not in a state that allows this."""

    code = "run_state"
    default_message = _("The run is not in a state that allows this.")


class TemplateStateConflict(RunStateConflict):
    """The version is not in a state that allows this: published ones never change, used ones are never deleted."""

    code = "template_state"
    default_message = _("The version is not in a state that allows this.")


class DraftChanged(Conflict):
    """The draft is not what the caller had read: somebody saved it since."""

    code = "draft_changed"
    status = 412
    default_message = _("Somebody else changed this draft since you opened it.")


class StepFailed(DeepSpaceError):
    """A handler cannot do its step with what the run has; trying again will not help."""

    code = "step_failed"
    status = 422
    default_message = _("The step could not be carried out.")


class StepStopped(Exception):
    """A handler noticed `should_stop` and left; not an error."""


class LeaseLost(Exception):
    """Another worker has the run, or it was ended: what this one still holds is thrown away."""


class QueueFull(TooManyRequests):
    """The organization has as many runs waiting for a worker as it may."""

    code = "queue_full"
    default_message = _("Too many runs wait for a worker already. Try again in a moment.")
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class HistoryUnavailable(DeepSpaceError):
    """The storage that holds the archived history does not answer; nothing is lost."""

    code = "history_unavailable"
    status = 503
    default_message = _("The archived history of this run cannot be read right now. Try again later.")


class HistoryDamaged(DeepSpaceError):
    """Events are missing, or the object that holds them is missing or not what was written."""

    code = "history_damaged"
    status = 500
    default_message = _("The history of this run is incomplete or damaged. An operator may restore it from a backup.")


class ConditionFailed(DeepSpaceError):
    """A condition or an expression of the workflow cannot be evaluated; ``details`` say which, and why."""

    code = "condition_failed"
    status = 422
    default_message = _("A condition of the workflow cannot be evaluated.")

    @classmethod
    def of(cls, expression: str, reason: str) -> "ConditionFailed":
        """Return the error for one expression."""
        shown = expression if len(expression) <= 120 else f"{expression[:119]}…"
        message = gettext("“%(expression)s”: %(reason)s") % {"expression": shown, "reason": reason}
        return cls(message, details=(FieldError(shown, reason),))


class ScheduleRefused(DeepSpaceError):
    """A schedule's due time starts nothing; the schedule shows why."""

    code = "schedule_refused"
    status = 409
    default_message = _("The schedule could not start its workflow.")


class BrokerAway(DeepSpaceError):
    """Nobody can be told anything: the broker does not answer."""

    code = "broker_away"
    status = 503
    default_message = _("The message broker does not answer.")


class BackupRefused(DeepSpaceError):
    """A backup cannot be made or loaded; the message is for the operator at the command line."""

    code = "backup_refused"
    status = 409
