"""Errors of this room; see accounts_app.exceptions for their frame."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import Conflict, DeepSpaceError, FieldError, InvalidInput


class UnknownStage(InvalidInput):
    """The task's workflow has no stage of this name."""

    code = "unknown_stage"
    default_message = _("The task's workflow has no such stage.")


class UnknownAction(InvalidInput):
    """The action is none of the six."""

    code = "unknown_action"
    default_message = _("There is no such action.")


class InvalidParams(InvalidInput):
    """``params`` is not a JSON object, or holds what cannot be stored."""

    code = "invalid_params"
    default_message = _("The parameters must be a JSON object.")


class UnknownWorkspace(InvalidInput):
    """There is no such workspace, or it is switched off."""

    code = "unknown_workspace"
    default_message = _("There is no such workspace, or it is switched off.")


class StageNotAllowed(Conflict):
    """The stage works on a text, and the task has none yet."""

    code = "stage_not_allowed"
    default_message = _("This stage works on a text, and the task has none yet.")

    @classmethod
    def for_stage(cls) -> "StageNotAllowed":
        """Return the error that names the field."""
        return cls(details=(FieldError("stage", str(cls.default_message)),))


class TaskClosed(Conflict):
    """The task is completed or archived."""

    code = "task_closed"
    default_message = _("The task is completed or archived.")


class RunInProgress(Conflict):
    """Another advance of the same task is running."""

    code = "run_in_progress"
    default_message = _("This task is running already.")

    @classmethod
    def of(cls, run_id: UUID) -> "RunInProgress":
        """Return the error that names the running run."""
        return cls(details=(FieldError("runId", str(run_id)),))


class NothingRunning(Conflict):
    """There is no run to cancel."""

    code = "nothing_running"
    default_message = _("Nothing is running in this task.")


class NothingToReplay(Conflict):
    """The event has no run, or none that can be gone on from."""

    code = "nothing_to_replay"
    default_message = _("This event belongs to no run that could be replayed.")


class KeyReused(Conflict):
    """The Idempotency-Key came before, with another request."""

    code = "idempotency_key_reused"
    default_message = _("This Idempotency-Key was used for another request.")


class RunNotCompletedError(DeepSpaceError):
    """The run that a caller waited for failed or was cancelled. Its code and status are those of what happened."""

    code = "run_failed"
    status = 502
    default_message = _("The run failed. The task stands where it stood; the step can be repeated.")


_STATUS_OF_RUN_ERRORS = {
    "insufficient_funds": 402,
    "run_cancelled": 409,
    "step_failed": 422,
    "model_unavailable": 503,
    "upstream_timeout": 504,
}


def run_error(status: str, error: dict[str, Any] | None) -> RunNotCompletedError:
    """Return the error for a run that ended as ``status``; ``error`` is the engine's ``{code, message}``."""
    if status == "cancelled":
        error = {"code": "run_cancelled", "message": _("The run was cancelled.")}
    raised = RunNotCompletedError(str((error or {}).get("message", "")))
    raised.code = str((error or {}).get("code", RunNotCompletedError.code))  # type: ignore[misc]
    raised.status = _STATUS_OF_RUN_ERRORS.get(raised.code, RunNotCompletedError.status)  # type: ignore[misc]
    return raised
