"""One attempt at one step: call its handler, and say what came of it."""

import logging
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.db import Error as DatabaseDown
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError
from gateway_app.exceptions import CallInProgress, CallTakenOver
from workflows_app.contracts import Json, StepContext, StepResult
from workflows_app.exceptions import StepFailed, StepStopped
from workflows_app.registry import Handler, handler_get
from workflows_app.services.claims import Attempt, Claim
from workflows_app.services.leases import Lease
from workflows_app.services.live import LiveRun
from workflows_app.services.run_logs import step_logs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Completed:
    """The handler did its work."""

    result: StepResult


@dataclass(frozen=True)
class Failed:
    """It did not. ``may_pass``: another attempt may succeed."""

    error: Json
    may_pass: bool


@dataclass(frozen=True)
class Stopped:
    """It was asked to leave."""


Outcome = Completed | Failed | Stopped


def attempt(claim: Claim, lease: Lease, live: LiveRun) -> Outcome:
    """Carry out the claimed step, outside any transaction. Whatever its handler raises becomes an outcome."""
    with step_logs(claim, live.publisher):
        return _outcome(claim, lease, live)


def _outcome(claim: Claim, lease: Lease, live: LiveRun) -> Outcome:
    try:
        handler = _handler(_attempt(claim).step.handler)
        result = _result(handler, _context(claim, lease, live))
        _check_output(handler, result)
    except StepStopped:
        return Stopped()
    except DeepSpaceError as error:
        if lease.should_stop():
            return Stopped()
        return Failed(_as_json(error), may_pass=error.status == 503 or isinstance(error, CallTakenOver))
    except (DatabaseDown, OSError):
        logger.warning("workflow.step_interrupted", exc_info=True, extra={"run_id": str(claim.run.pk)})
        message = _("A service that this step needs did not answer.")
        return Failed({"code": "unavailable", "message": message}, may_pass=True)
    except Exception:
        # A bug in a handler ends its run, not the worker; the log has the trace, the person a sentence.
        logger.exception("workflow.step_crashed", extra={"run_id": str(claim.run.pk), "step": _attempt(claim).step.key})
        error_of_ours = {"code": "internal_error", "message": _("The step failed because of an error of ours.")}
        return Failed(error_of_ours, may_pass=False)
    return Completed(result)


def overdue_error() -> Json:
    """What a step that took too long failed with."""
    return {"code": "step_timeout", "message": _("The step took too long and was stopped.")}


def _result(handler: Handler, ctx: StepContext) -> StepResult:
    """Call the handler, once more for as long as an earlier holder of the run still has this step's model call."""
    while True:
        try:
            return handler.function(ctx)
        except CallInProgress:
            # It slept through its lease; when it wakes it lets go. Its call must not be paid beside ours.
            if ctx.should_stop():
                raise
            time.sleep(0.2)


def _handler(name: str) -> Handler:
    handler = handler_get(name)
    if handler is None:
        raise StepFailed(_("Nothing runs “%(via)s” here.") % {"via": name})
    return handler


def _context(claim: Claim, lease: Lease, live: LiveRun) -> StepContext:
    run, attempted = claim.run, _attempt(claim)
    step = attempted.step
    model = {"model": attempted.model} if attempted.model else {}
    return StepContext(
        run_id=run.pk,
        step_key=step.key,
        action=step.action,
        via=step.via,
        template=step.template,
        params=step.params | model,
        attempt=attempted.number,
        idempotency_key=attempted.idempotency_key,
        task_id=run.subject_id,
        workspace_key=run.workspace_key,
        context=MappingProxyType(run.context | _with_model(run.context, model)),
        publisher=live.publisher,
        should_stop=lease.should_stop,
        heartbeat=lease.beat,
    )


def _with_model(context: Json, model: Json) -> Json:
    """The parameters that a person gave override the step's own; the fallback model overrides both."""
    given = context.get("params")
    return {"params": given | model} if model and isinstance(given, dict) else {}


def _attempt(claim: Claim) -> Attempt:
    assert claim.attempt is not None
    return claim.attempt


def _check_output(handler: Handler, result: StepResult) -> None:
    problems: list[Any] = list(handler.output_validator.iter_errors(result.output))
    if problems:
        raise ValueError(f"{handler.name} gave an output that its schema forbids: {problems[0].message[:300]}")


def _as_json(error: DeepSpaceError) -> Json:
    data: Json = {"code": error.code, "message": error.message}
    if error.details:
        data["details"] = [{"field": item.field, "message": str(item.message)} for item in error.details]
    return data
