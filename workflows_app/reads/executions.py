"""The list of executions and one of them."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import reduce
from itertools import product
from operator import or_
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import Json
from workflows_app.models import RunStatus, StepRun, StepStatus, WorkflowConfig, WorkflowRun
from workflows_app.reads.pages import MergedPages
from workflows_app.selectors import configs_readable
from workflows_app.services.store import state_of

# What a list does not show: each may be 100,000 characters long.
_LONG = ("context", "steps", "signals", "visits", "wait", "config__config", "config__notes")
# More alternatives than this are left to the database.
_MOST_ALTERNATIVES = 24
# A beginning of an id that is shorter than this is no search for an id: ids begin with the time.
_ID_PREFIX = re.compile(r"[0-9a-f]{8,32}")


@dataclass(frozen=True)
class ExecutionFilter:
    """What a list is narrowed to; what is empty does not narrow it.

    ``template`` is a name, name@version or an id. ``q`` is looked for in the names of templates, and in the messages of
    errors or, if it has 8 hexadecimal digits or more and nothing else, in the beginnings of ids. ``roots``: without
    branches and child workflows.
    """

    template: str = ""
    statuses: tuple[str, ...] = ()
    task: UUID | None = None
    trace_id: str = ""
    parent: UUID | None = None
    origin: UUID | None = None
    roots: bool = False
    scope: str = ""
    error: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    q: str = ""


def executions() -> QuerySet[WorkflowRun]:
    """Return the organization's runs with their templates, without what a list does not show."""
    own = WorkflowRun.objects.filter(organization_id=current_organization_id())
    return own.select_related("config").defer(*_LONG)


def execution_list(wanted: ExecutionFilter) -> MergedPages:
    """Return the runs that fulfil the filter, newest first, to be read in pages."""
    statuses = [Q(status=status) for status in dict.fromkeys(wanted.statuses)] or [Q()]
    templates = [Q(config=config) for config in _configs(wanted.template)] if wanted.template else [Q()]
    found = _search(wanted.q) if wanted.q else [Q()]
    if len(statuses) * len(templates) * len(found) > _MOST_ALTERNATIVES:
        statuses, templates = _as_one(statuses), _as_one(templates)
    alternatives = tuple(status & template & match for status, template, match in product(statuses, templates, found))
    return MergedPages(executions().filter(_narrowed(wanted)), alternatives)


def execution_get(run_id: UUID) -> WorkflowRun:
    """Return one run with its template. Raises NotFound, also for another organization's."""
    own = WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id)
    run = own.select_related("config").defer("config__config", "config__notes").first()
    if run is None:
        raise NotFound
    return run


def execution_children(run_id: UUID) -> QuerySet[WorkflowRun]:
    """Return the runs that a run started, oldest first."""
    return executions().filter(parent_id=run_id).order_by("created_at", "id")


def execution_attempts(run_id: UUID) -> QuerySet[StepRun]:
    """Return the attempts at steps that have ended, in the order of their beginning."""
    own = StepRun.objects.filter(organization_id=current_organization_id(), run_id=run_id)
    return own.order_by("started_at", "id")


def attempts_counted(run_id: UUID) -> dict[str, int]:
    """Return how many attempts ended in each way."""
    counted = execution_attempts(run_id).order_by().values_list("status").annotate(number=Count("id"))
    return dict(counted.order_by("status"))


def attempt_under_way(run: WorkflowRun) -> Json | None:
    """Return the attempt that a worker makes just now, with the fields of one that has ended; None without any."""
    if not run.attempt:
        return None
    state = state_of(run)
    step = state.steps[run.cursor]
    return {
        "path": state.path(step),
        "stage": run.stage,
        "key": step.key,
        "action": step.action,
        "via": step.via,
        "attempt": run.attempt,
        "status": StepStatus.RUNNING.value,
        "output": {},
        "error": None,
        "model": "",
        "tokens": 0,
        "cost_usd": Decimal(0),
        "started_at": run.step_started_at,
        "finished_at": None,
        "duration_ms": None,
    }


def _narrowed(wanted: ExecutionFilter) -> Q:
    """The conditions without alternatives."""
    named = {
        "subject_id": wanted.task,
        "trace_id": wanted.trace_id,
        "parent_id": wanted.parent,
        "origin_id": wanted.origin,
        "scope": wanted.scope,
        "created_at__gte": wanted.created_after,
        "created_at__lt": wanted.created_before,
    }
    narrowed = Q(**{name: value for name, value in named.items() if value})
    if wanted.roots:
        narrowed &= Q(parent__isnull=True)
    if wanted.error:
        narrowed &= Q(status=RunStatus.FAILED, error__code=wanted.error)
    return narrowed


def _configs(reference: str) -> list[UUID]:
    """The versions that a name, name@version or an id means, whatever their status."""
    readable = configs_readable().order_by()
    try:
        return list(readable.filter(pk=UUID(reference)).values_list("pk", flat=True))
    except ValueError:
        name, _at, version = reference.partition("@")
        named = readable.filter(name=name)
        return _ids(named.filter(version=version) if version else named)


def _search(text: str) -> list[Q]:
    digits = text.lower().replace("-", "")
    if _ID_PREFIX.fullmatch(digits):
        # Eight hexadecimal digits or more are an id: no error's message is read for them.
        alternatives = [Q(id__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))]
    else:
        alternatives = [Q(status=RunStatus.FAILED, error__message__icontains=text)]
    named = _ids(configs_readable().order_by().filter(name__icontains=text))
    alternatives += [Q(config=config) for config in named]
    return alternatives if len(alternatives) <= _MOST_ALTERNATIVES else _as_one(alternatives)


def _ids(configs: QuerySet[WorkflowConfig]) -> list[UUID]:
    return list(configs.values_list("pk", flat=True))


def _as_one(alternatives: list[Q]) -> list[Q]:
    return [reduce(or_, alternatives)] if alternatives else []
