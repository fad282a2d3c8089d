"""Between the machine and the tables: reads a run's state, and writes what a machine decided, all or nothing."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.utils import timezone

from accounts_app.ids import uuid7
from accounts_app.services.trace import current_trace_id
from workflows_app.contracts import ConfigRef, Json, StepDetail, StepResult
from workflows_app.engine.machine import Asked, Machine
from workflows_app.engine.state import Fact, State
from workflows_app.exceptions import LeaseLost
from workflows_app.metrics import attempts_counted
from workflows_app.models import RunScope, StepRun, StepStatus, WorkflowConfig, WorkflowRun
from workflows_app.selectors import run_detail
from workflows_app.services.dispatch import ring_later
from workflows_app.services.documents import document_parse
from workflows_app.signals import run_finished, run_started, step_finished

_PLAIN = (
    "status", "stage", "next_stage", "cursor", "attempt", "attempts_made", "failures", "on_fallback", "steps_done",
)  # fmt: skip
_AS_THEY_ARE = ("visits", "context", "wait", "error")
_STEP = ("key", "action", "via", "attempt", "status", "output", "error", "model", "tokens", "path", "stage")


class Stale(Exception):
    """Somebody else wrote an event of this run meanwhile: read it again, and decide again."""


def state_of(run: WorkflowRun) -> State:
    """Return the state that the row holds: the fold of the run's events."""
    plain = {name: getattr(run, name) for name in (*_PLAIN, *_AS_THEY_ARE)}
    return State(scope=run.scope, steps=run.specs, signals=tuple(run.signals), cost_usd=run.cost_usd, **plain)


def state_columns(state: State) -> Json:
    """Return the row's columns for a state: the reverse of `state_of`."""
    columns = {name: getattr(state, name) for name in (*_PLAIN, *_AS_THEY_ARE, "cost_usd")}
    steps = [step.as_json() for step in state.steps]
    return columns | {"visits": dict(state.visits), "steps": steps, "signals": list(state.signals)}


def machine_of(run: WorkflowRun, **asked: bool) -> Machine:
    """Return the machine of a run as it stands, with what people and clocks want of it."""
    now = timezone.now()
    wanted = {
        "cancel": run.cancel_requested_at is not None,
        "pause": run.pause_requested_at is not None,
        "overdue": run.deadline_at is not None and run.deadline_at <= now,
        "due": run.is_due(now),
    }
    return Machine(
        run_id=run.id,
        state=state_of(run),
        config=partial(config_of, run.config_id),
        asked=Asked(**(wanted | asked)),
        is_branch=run.branch is not None and run.scope == RunScope.STAGE,
        slot_take=partial(_slot_take, run),
    )


_configs: dict[UUID, ConfigRef] = {}
_MOST_CONFIGS = 256


def config_of(config_id: UUID) -> ConfigRef:
    """Return a version's parsed document. Published ones never change, and others do not run: kept in memory."""
    known = _configs.get(config_id)
    return known or config_keep(WorkflowConfig.objects.only("id", "config", "name").get(pk=config_id))


def config_keep(config: WorkflowConfig) -> ConfigRef:
    """Return a published version's parsed document, and remember it."""
    known = _configs.get(config.pk)
    if known is None:
        if len(_configs) >= _MOST_CONFIGS:
            _configs.clear()
        known = _configs[config.pk] = replace(document_parse(config.pk, config.config), name=config.name)
    return known


def machine_write(
    run: WorkflowRun,
    machine: Machine,
    *,
    token: int | None = None,
    lease: float | None = None,
    token_next: int | None = None,
    **columns: Any,
) -> tuple[StepDetail, ...]:
    """Write what the machine decided, in the open transaction; tell the rooms above; bring ``run`` up to date.

    ``token``: the worker's, who must still hold the run; None for others. ``lease``: seconds to hold it from now on,
    0 to let it go, None to leave that as it is. ``token_next`` fences whoever believes to hold the run.
    ``columns`` are set as they come. Returns the attempts that ended with it. Raises LeaseLost when another worker has
    the run, Stale when its history went on meanwhile.
    """
    row = _changed(machine.before, machine.state) | columns
    if token_next is not None:
        row["token"] = token_next
    events = [event_json(fact) for fact in machine.facts]
    started_ago = next((fact.ago for fact in machine.facts if fact.type == "run.started"), None)
    row["event_seq"] = run.event_seq + len(events)
    row["last_event_id"] = events[-1]["id"] if events else run.last_event_id
    change = {
        "run": run.id,
        "token": token,
        "seq": run.event_seq,
        "trace": current_trace_id(),
        "row": row,
        "events": events,
        "attempts": machine.attempts,
        "lease": lease,
        "ready": _wants_worker(run, machine, lease),
        "begins": any(fact.type == "step.started" for fact in machine.facts),
        "due_in": machine.due_in,
        "due_at": machine.due_at,
        "keeps_due": not any(fact.type == "run.waiting" for fact in machine.facts),
        "started_ago": started_ago,
        "deadline_in": _deadline(run, machine, started_ago),
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT workflow_write(%s::jsonb)", [json.dumps(change, cls=DjangoJSONEncoder)])
        (outcome,) = cursor.fetchone()
    if outcome == "stale":
        raise Stale
    if outcome == "fenced":
        raise LeaseLost
    ended = tuple(_ended_step(run, item) for item in machine.attempts)
    if lease == 0:
        run.lease_until = None
    _bring_up_to_date(run, machine, row)
    _free_slots(run, machine)
    if change["ready"]:
        ring_later()
    _tell(run, machine, ended)
    attempts_counted(ended)
    return ended


def _changed(before: State, after: State) -> Json:
    names = (*_PLAIN, *_AS_THEY_ARE)
    row: Json = {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}
    if after.steps is not before.steps:
        row["steps"] = [step.as_json() for step in after.steps]
    if after.signals is not before.signals:
        row["signals"] = list(after.signals)
    if after.cost_usd != before.cost_usd:
        row["cost_usd"] = str(after.cost_usd)
    return row


def event_json(fact: Fact) -> Json:
    """Return an event as the database's functions take it, with an id of its own."""
    return {
        "id": str(uuid7()),
        "type": fact.type,
        "step_key": fact.step_key,
        "attempt": fact.attempt,
        "data": fact.data,
        "ago": fact.ago,
    }


def _wants_worker(run: WorkflowRun, machine: Machine, lease: float | None) -> bool:
    """Whether the run is to be in the queue: not held, and with something left to do that no wait stands before."""
    if lease or (lease is None and run.lease_until is not None):
        return False
    state = machine.state
    if state.is_finished:
        return run.stream_id is not None and run.announced_at is None
    return state.status in {"pending", "running"} or machine.awaits_nothing()


def _deadline(run: WorkflowRun, machine: Machine, started_ago: float | None) -> float | None:
    most = None if started_ago is None or run.deadline_at else machine.config().limits.max_duration
    return None if most is None or started_ago is None else most - started_ago


def _bring_up_to_date(run: WorkflowRun, machine: Machine, row: Json) -> None:
    state = machine.state
    for name, value in row.items():
        setattr(run, name, value)
    run.cost_usd = state.cost_usd
    if any(fact.type == "step.started" for fact in machine.facts):
        run.step_started_at = timezone.now()
    if state.is_finished and run.finished_at is None:
        run.finished_at = timezone.now()
        if run.stream_id is None:
            run.announced_at = run.finished_at


def _slot_take(run: WorkflowRun, key: str, most: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT workflow_slot_take(%s, %s, %s, %s)", [run.organization_id, key, most, run.id])
        (taken,) = cursor.fetchone()
    return bool(taken)


def _free_slots(run: WorkflowRun, machine: Machine) -> None:
    everything = machine.state.is_finished and (machine.config().limits.max_runs or _may_hold(machine))
    for key in [None] if everything else machine.freed:
        with connection.cursor() as cursor:
            cursor.execute("SELECT workflow_slots_free(%s, %s)", [run.id, key])
        ring_later()


def _may_hold(machine: Machine) -> bool:
    return any(step.concurrency_key for step in machine.state.steps)


def _tell(run: WorkflowRun, machine: Machine, ended: tuple[StepDetail, ...]) -> None:
    """Send the signals of what happened, in its order; each receiver writes in this transaction."""
    completed, now = (step for step in ended if step.status == StepStatus.COMPLETED), run_detail(run)
    for fact in machine.facts:
        if fact.type == "run.started":
            run_started.send(sender=WorkflowRun, run=now)
        elif fact.type == "step.completed":
            step = next(completed)
            given = StepResult(output=fact.data["output"], set=fact.data["set"])
            run_then = now if now.stage == step.stage else replace(now, stage=step.stage)
            step_finished.send(sender=StepRun, run=run_then, step=step, result=given)
    if machine.state.is_finished:
        state = machine.state
        ended_as = {"status": state.status, "context": state.context, "error": state.error}
        run_finished.send(sender=WorkflowRun, run=now, **ended_as)


def _ended_step(run: WorkflowRun, item: Json) -> StepDetail:
    now, ago = timezone.now(), item["began_ago"]
    ended = now - timedelta(seconds=item["ended_ago"])
    began = (run.step_started_at or ended) if ago is None else now - timedelta(seconds=ago)
    return StepDetail(
        **{name: item[name] for name in _STEP},
        cost_usd=Decimal(item["cost_usd"]),
        duration_ms=round((ended - began).total_seconds() * 1000),
        started_at=began,
    )


def lease_seconds() -> float:
    """How long a claim holds without being renewed."""
    return float(settings.WORKFLOW_LEASE_SECONDS)
