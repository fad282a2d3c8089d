"""Runs: start, cancel, take up again after a failure."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import Json, RunRef, StageSpec, StepSpec
from workflows_app.exceptions import RunActive, RunStateConflict
from workflows_app.models import ConfigStatus, RunStatus, WorkflowConfig, WorkflowRun
from workflows_app.selectors import configs_readable, run_detail
from workflows_app.services.dispatch import dispatch_later
from workflows_app.services.documents import document_parse
from workflows_app.services.events import EVENT_COLUMNS, NewEvent, events_append
from workflows_app.services.steps import next_step

_ACTIVE = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED)


@transaction.atomic
def run_start(
    *,
    config_id: UUID,
    workspace_key: str,
    stage: str,
    step_filter: str | None = None,
    steps: tuple[StepSpec, ...] = (),
    subject_id: UUID | None = None,
    context: Json | None = None,
    stream_id: UUID | None = None,
    key: str,
) -> RunRef:
    """Accept a run of one stage; a worker begins it after the commit, also when the broker is down just now.

    ``step_filter`` picks the steps of the stage by key, action or via; ``steps`` replaces them altogether, also
    with a step that the stage does not have. ``key`` makes the start happen once: the same key with the same fields
    returns the run that exists. Raises NotFound (no such version), InvalidInput (stage, action, steps), RunActive
    (the subject has an unfinished run), Conflict (same key, other fields).
    """
    existing = _same_start(key, config_id, stage, subject_id)
    if existing is not None:
        return existing
    config = configs_readable().filter(pk=config_id, workspace_id=workspace_key, status=ConfigStatus.PUBLISHED).first()
    if config is None:
        raise NotFound
    spec = _stage(config, stage)
    chosen = _distinct(steps) if steps else _steps(spec, step_filter)
    try:
        with transaction.atomic():
            run = _insert(
                config, spec, chosen, subject_id=subject_id, context=context or {}, stream_id=stream_id, key=key
            )
    except IntegrityError as error:
        raced = _same_start(key, config_id, stage, subject_id)
        if raced is not None:
            return raced
        raise RunActive from error
    dispatch_later(run)
    return run_detail(run).ref


@transaction.atomic
def run_cancel(*, run_id: UUID) -> RunRef:
    """Ask for the end of a run. One that no worker holds ends at once, another within about a second.

    Asking again, or for a run that has ended already, changes nothing. Raises NotFound.
    """
    run = _locked(run_id)
    if run.is_finished or run.cancel_requested_at is not None:
        return run_detail(run).ref
    run.cancel_requested_at = timezone.now()
    run.save(update_fields=["cancel_requested_at"])
    audit_record(action="run.cancel", target_type="workflow_run", target_id=run.id)
    if run.lease_until is None:
        # Whoever still believes in an older claim is fenced by the new token.
        run.token += 1
        next_step(run)
        dispatch_later(run)
    return run_detail(run).ref


@transaction.atomic
def run_retry(*, run_id: UUID, stream_id: UUID | None = None) -> RunRef:
    """Continue a failed run at its failed step; what was completed before stays. ``stream_id`` is its new stream.

    Raises NotFound, RunStateConflict when the run has not failed, RunActive when its subject has another run.
    """
    run = _locked(run_id)
    if run.status != RunStatus.FAILED:
        raise RunStateConflict(_("Only a failed run can be taken up again."))
    if run.subject_id and _others_active(run):
        raise RunActive
    run.status, run.error, run.finished_at, run.announced_at = RunStatus.PENDING, None, None, None
    run.token += 1
    run.lease_until, run.dispatched_at, run.dispatches, run.crash_attempts = None, None, 0, 0
    run.cancel_requested_at, run.stream_id, run.trace_id = None, stream_id, current_trace_id()
    step = StepSpec.from_json(run.steps[run.cursor])
    events_append(run, NewEvent("run.retried"), NewEvent("step.scheduled", step.key))
    run.save()
    audit_record(action="run.retry", target_type="workflow_run", target_id=run.id)
    dispatch_later(run)
    return run_detail(run).ref


def _insert(config: WorkflowConfig, stage: StageSpec, steps: tuple[StepSpec, ...], **fields: Any) -> WorkflowRun:
    run = WorkflowRun(
        organization_id=current_organization_id(),
        user_id=current_tenant().user_id,
        config=config,
        workspace_key=config.workspace_id,
        stage=stage.key,
        next_stage=stage.next or "",
        steps=[step.as_json() for step in steps],
        trace_id=current_trace_id(),
        language=get_language() or "",
        idempotency_key=fields.pop("key"),
        **fields,
    )
    run.save(force_insert=True)
    created = {"workspace": run.workspace_key, "version": config.version, "stage": run.stage}
    events_append(run, NewEvent("run.created", data=created), NewEvent("step.scheduled", steps[0].key))
    run.save(update_fields=EVENT_COLUMNS)
    return run


def _same_start(key: str, config_id: UUID, stage: str, subject_id: UUID | None) -> RunRef | None:
    run = WorkflowRun.objects.filter(organization_id=current_organization_id(), idempotency_key=key).first()
    if run is None:
        return None
    if (run.config_id, run.stage, run.subject_id) != (config_id, stage, subject_id):
        raise Conflict(_("This idempotency key was used for another run."))
    return run_detail(run).ref


def _stage(config: WorkflowConfig, stage: str) -> StageSpec:
    stages = document_parse(config.id, config.config).stages
    if stage not in stages:
        known = {"stages": ", ".join(stages)}
        raise InvalidInput.for_field("stage", _("There is no such stage here. There are: %(stages)s.") % known)
    return stages[stage]


def _steps(stage: StageSpec, step_filter: str | None) -> tuple[StepSpec, ...]:
    steps = tuple(step for step in stage.steps if step_filter is None or step.matches(step_filter))
    if not steps:
        known = {"stage": stage.key, "actions": ", ".join(step.action for step in stage.steps)}
        message = _("Stage %(stage)s has no such step. It has: %(actions)s.") % known
        raise InvalidInput.for_field("action", message)
    return steps


def _distinct(steps: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
    # A step's key names its effects: two of one name would be paid, and done, as one.
    if len({step.key for step in steps}) != len(steps):
        raise InvalidInput.for_field("steps", _("Each step needs a key of its own."))
    return steps


def _locked(run_id: UUID) -> WorkflowRun:
    own = WorkflowRun.objects.select_for_update().filter(organization_id=current_organization_id())
    run = own.filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def _others_active(run: WorkflowRun) -> bool:
    others = WorkflowRun.objects.filter(
        organization_id=run.organization_id, subject_id=run.subject_id, status__in=_ACTIVE
    )
    return others.exclude(pk=run.pk).exists()
