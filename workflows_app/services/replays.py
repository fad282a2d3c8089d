"""A replay: a new run that shares the history of another up to one of its events, and goes on from there."""

from collections.abc import Iterator
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import Json, RunRef
from workflows_app.engine.state import Fact, State, state_rebuilt
from workflows_app.exceptions import RunActive, RunStateConflict
from workflows_app.models import RunScope, WorkflowRun
from workflows_app.models.config import STARTABLE
from workflows_app.reads.history import history_facts
from workflows_app.selectors import configs_readable, run_detail
from workflows_app.services.inserts import history_begin, run_columns
from workflows_app.services.runs import fingerprint_of
from workflows_app.services.store import config_of, state_columns


@transaction.atomic
def run_replay(
    *,
    run_id: UUID,
    seq: int,
    key: str,
    config_id: UUID | None = None,
    params: Json | None = None,
    stream_id: UUID | None = None,
) -> RunRef:
    """Start a new run that begins as the given one stood after its event ``seq``.

    Steps that were completed by then are not done, nor paid, again. ``config_id`` takes another version of the
    workflow, which must have the stage and the step; ``params`` override those of the run's context. Raises NotFound
    (run, event or version), InvalidInput, RunStateConflict (a history that cannot be gone on from), RunActive (the
    subject has an unfinished run), Conflict (same key, other fields).
    """
    origin = WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id).first()
    if origin is None:
        raise NotFound
    fingerprint = fingerprint_of(run_id, seq, config_id, params or {})
    again = _same_replay(key, fingerprint)
    if again is not None:
        return again
    if origin.parent_id is not None:
        raise RunStateConflict(_("This run is part of another one: replay that one."))
    shared = list(_shared(origin, seq))
    state = state_rebuilt(shared)
    forked = _forked(origin, seq, state, config_id, params or {})
    state = state_rebuilt([*shared, forked])
    run = _fork(origin, state, key=key, stream_id=stream_id, config_id=config_id or origin.config_id, seq=seq)
    run.fingerprint = fingerprint
    if not history_begin(run, [*shared, forked]):
        raced = _same_replay(key, fingerprint)
        if raced is None:
            raise RunActive
        return raced
    audit_record(
        action="run.replay", target_type="workflow_run", target_id=run.id, data={"origin": str(run_id), "seq": seq}
    )
    return run_detail(run).ref


def _same_replay(key: str, fingerprint: str) -> RunRef | None:
    run = WorkflowRun.objects.filter(organization_id=current_organization_id(), idempotency_key=key).first()
    if run is None:
        return None
    if run.fingerprint != fingerprint:
        raise Conflict(_("This idempotency key was used for another run."))
    return run_detail(run).ref


def _shared(origin: WorkflowRun, seq: int) -> Iterator[Fact]:
    if not 1 <= seq <= origin.event_seq:
        raise InvalidInput.for_field("seq", _("The run has no such event."))
    facts = history_facts(origin.id, until=seq)
    if "scope" not in facts[0].data:
        raise RunStateConflict(_("This run is older than replays; its history does not hold enough."))
    yield from facts


def _forked(origin: WorkflowRun, seq: int, state: State, config_id: UUID | None, params: Json) -> Fact:
    data: Json = {"origin_id": str(origin.id), "origin_seq": seq, "user_id": str(current_tenant().user_id or "")}
    if state.step is None and (state.is_finished or state.scope == RunScope.STAGE):
        raise RunStateConflict(_("Nothing is left to be done after this event."))
    if config_id is not None and config_id != origin.config_id:
        data |= _of_other_version(state, config_id)
    if params:
        data["set"] = {"params": {**state.context.get("params", {}), **params}}
    return Fact("run.forked", data=data)


def _of_other_version(state: State, config_id: UUID) -> Json:
    """The same place in another version: its stage, with the steps done so far in the same order."""
    if not configs_readable().filter(pk=config_id, status__in=STARTABLE).exists():
        raise NotFound
    config = config_of(config_id)
    spec = config.stages.get(state.stage)
    keys = [step.key for step in spec.steps] if spec else []
    done = [step.key for step in state.steps[: state.cursor]]
    if spec is None or keys[: state.cursor] != done or not keys[state.cursor :]:
        message = _("That version has no such stage, or other steps before this one.")
        raise InvalidInput.for_field("template", message)
    return {
        "config_id": str(config_id),
        "version": config.version,
        "steps": [step.as_json() for step in spec.steps],
        "next_stage": spec.next or "",
    }


def _fork(
    origin: WorkflowRun, state: State, *, key: str, stream_id: UUID | None, config_id: UUID, seq: int
) -> WorkflowRun:
    run = WorkflowRun(
        **run_columns(),
        config_id=config_id,
        workspace_key=origin.workspace_key,
        scope=RunScope(origin.scope),
        subject_id=origin.subject_id,
        stream_id=stream_id,
        idempotency_key=key,
        priority=origin.priority,
        origin=origin,
        origin_seq=seq,
    )
    for name, value in state_columns(state).items():
        setattr(run, name, value)
    return run
