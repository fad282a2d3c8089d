"""Runs: start one."""

import hashlib
import json
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import ConfigRef, Json, RunRef, StageSpec, StepSpec
from workflows_app.exceptions import RunActive
from workflows_app.models import RunScope, WorkflowConfig, WorkflowRun
from workflows_app.models.config import STARTABLE
from workflows_app.selectors import config_startable, configs_readable, run_detail, template_published
from workflows_app.services.inserts import NewRun, NotStartable, run_insert
from workflows_app.services.store import config_keep, config_of


# Without a savepoint, which would cost two exchanges: what it raises ends the caller's transaction as well.
@transaction.atomic(savepoint=False)
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
    fingerprint = fingerprint_of(config_id, stage, subject_id)
    try:
        spec, chosen = _asked_for(config_id, workspace_key, stage, step_filter, steps)
        new = NewRun(
            config_id=config_id,
            stage=spec,
            steps=chosen,
            scope=RunScope.STAGE,
            key=key,
            context=context or {},
            subject_id=subject_id,
            stream_id=stream_id,
            fingerprint=fingerprint,
        )
        return _start_once(new, workspace_key=workspace_key)
    except NotStartable:
        existing = _same_start(key, fingerprint)
        if existing is None:
            raise NotFound from None
        return existing


@transaction.atomic
def execution_start(
    *,
    template: str,
    context: Json,
    key: str,
    subject_id: UUID | None = None,
    stream_id: UUID | None = None,
    priority: int = 0,
) -> RunRef:
    """Accept a run of a whole workflow, from its first stage on. ``template`` is a name, name@version, or an id.

    ``priority`` is -100 to 100; higher ones are taken first. The rest as in `run_start`; a context that differs makes
    the start another one too. Raises NotFound, RunActive, Conflict.
    """
    config = _template(template)
    parsed = config_keep(config)
    first = parsed.stages[parsed.start]
    run = _start_once(
        NewRun(
            config_id=config.pk,
            stage=first,
            steps=first.steps,
            scope=RunScope.WORKFLOW,
            key=key,
            context=context,
            subject_id=subject_id,
            stream_id=stream_id,
            priority=priority,
            fingerprint=execution_fingerprint(config.pk, context, subject_id, priority),
        )
    )
    audit_record(action="run.start", target_type="workflow_run", target_id=run.id)
    return run


def _asked_for(
    config_id: UUID, workspace_key: str, stage: str, step_filter: str | None, steps: tuple[StepSpec, ...]
) -> tuple[StageSpec, tuple[StepSpec, ...]]:
    try:
        spec = _stage(config_of(config_id), stage)
        return spec, _distinct(steps) if steps else _steps(spec, step_filter)
    except (InvalidInput, WorkflowConfig.DoesNotExist):
        # What is in a version is told only to those who may start it.
        if not config_startable(config_id, workspace_key):
            raise NotStartable from None
        raise


def _start_once(new: NewRun, *, workspace_key: str | None = None) -> RunRef:
    # Most starts are new: an earlier one of the key is looked for when the insert was refused.
    run = run_insert(new, workspace_key=workspace_key)
    if run is None:
        existing = _same_start(new.key, new.fingerprint)
        if existing is None:
            raise RunActive
        return existing
    return run_detail(run).ref


def execution_fingerprint(config_id: UUID, context: Json, subject_id: UUID | None, priority: int) -> str:
    """Return what tells two starts under one key apart."""
    return fingerprint_of(config_id, context, subject_id, priority)


def template_id(reference: str) -> UUID:
    """Return the version that may be started which ``reference`` (name, name@version, id) means. Raises NotFound."""
    return _template(reference).pk


def _template(reference: str) -> WorkflowConfig:
    try:
        config = configs_readable().filter(pk=UUID(reference), status__in=STARTABLE).first()
    except ValueError:
        config = template_published(reference)
    if config is None:
        raise NotFound
    return config


def fingerprint_of(*fields: object) -> str:
    """Return a digest of what a start was asked with."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True, cls=DjangoJSONEncoder).encode()).hexdigest()


def _same_start(key: str, fingerprint: str) -> RunRef | None:
    run = WorkflowRun.objects.filter(organization_id=current_organization_id(), idempotency_key=key).first()
    if run is None:
        return None
    if run.fingerprint != fingerprint:
        raise Conflict(_("This idempotency key was used for another run."))
    return run_detail(run).ref


def _stage(config: ConfigRef, stage: str) -> StageSpec:
    if stage not in config.stages:
        known = {"stages": ", ".join(config.stages)}
        raise InvalidInput.for_field("stage", _("There is no such stage here. There are: %(stages)s.") % known)
    return config.stages[stage]


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
