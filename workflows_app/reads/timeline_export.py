"""A run's timeline as text: JSON for programs, Markdown for people."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

from workflows_app.contracts import Json
from workflows_app.models import WorkflowRun
from workflows_app.reads.history import run_history
from workflows_app.reads.timeline import MAX_EVENTS, run_row, run_timeline, stage_names
from workflows_app.reads.timeline_labels import duration_text, kind_label, stage_name, status_label, step_name
from workflows_app.reads.waterfall import WORK, Part, StepBar, Timeline


def json_text(value: Any) -> str:
    """Return JSON that people can read too; amounts are decimal text."""
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2) + "\n"


def run_json(run_id: UUID) -> Json:
    """Return a run with its waterfall and its events. Raises NotFound."""
    run = run_row(run_id)
    events = run_history(run.id, limit=MAX_EVENTS)
    return {"run": _head(run), "timeline": asdict(run_timeline(run, events)), "events": [asdict(e) for e in events]}


def _head(run: WorkflowRun) -> Json:
    names = (
        "id", "status", "workspace_key", "scope", "stage", "subject_id", "parent_id", "branch", "origin_id",
        "origin_seq", "error", "wait", "cost_usd", "trace_id", "created_at", "started_at", "finished_at",
    )  # fmt: skip
    template = {"name": run.config.name, "version": run.config.version, "id": run.config_id}
    return {name: getattr(run, name) for name in names} | {"template": template}


def run_markdown(run_id: UUID, *, level: int = 1) -> str:
    """Return a run as a report; ``level`` is that of its heading. Raises NotFound."""
    run = run_row(run_id)
    timeline = run_timeline(run)
    lines = [f"{'#' * level} {run.config.name} {run.config.version} · {status_label(run.status)}", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(run, timeline)]
    names = stage_names(run)
    for stage in timeline.stages:
        visit = f" ({_('visit %(number)d') % {'number': stage.visit}})" if stage.visit > 1 else ""
        name = stage_name(stage.name or names.get(stage.key, ""))
        lines += ["", f"{'#' * (level + 1)} {stage.key}{f' · {name}' if name else ''}{visit}", ""]
        lines += [line for step in stage.steps for line in _step_lines(step)]
    return "\n".join(lines) + "\n"


def _facts(run: WorkflowRun, timeline: Timeline) -> Iterator[tuple[str, str]]:
    yield _("Run"), f"`{run.id}`"
    yield _("Started"), _moment(run.started_at)
    yield _("Finished"), _moment(run.finished_at)
    yield _("Duration"), duration_text(timeline.total_ms)
    yield _("Cost"), _usd(run.cost_usd)
    yield _("Tokens"), str(timeline.totals.tokens)
    if timeline.pass_rate is not None:
        yield _("Pass rate"), f"{timeline.pass_rate:.0%}"
    if run.origin_id:
        yield _("Replay of"), f"`{run.origin_id}` #{run.origin_seq}"
    if run.error:
        yield _("Error"), f"`{run.error.get('code', '')}` {_one_line(run.error.get('message', ''))}"


def _step_lines(step: StepBar) -> Iterator[str]:
    shared = f", {_('shared with the origin')}" if step.is_shared else ""
    name = step_name(step.key, step.action)
    yield f"- **{name}**: {status_label(step.status)}, {duration_text(step.duration_ms)}{shared}{_used(step)}"
    for part in step.parts if len(step.parts) > 1 or step.last.error else ():
        yield f"  - {_part_line(part)}"
    for child in step.children:
        run = f" `{child.run_id}`" if child.run_id else ""
        took = f"{status_label(child.status)}, {duration_text(child.duration_ms)}"
        yield f"  - {_('Run %(number)d') % {'number': child.branch + 1}}{run}: {took}"


def _part_line(part: Part) -> str:
    name = _("Attempt %(number)d") % {"number": part.attempt} if part.kind == WORK else kind_label(part.kind)
    error = f": `{part.error.get('code', '')}` {_one_line(part.error.get('message', ''))}" if part.error else ""
    return f"{name}: {status_label(part.status)}, {duration_text(part.duration_ms)}{error}"


def _used(step: StepBar) -> str:
    used = [f"`{step.model}`"] if step.model else []
    used += [_("%(count)d tokens") % {"count": step.tokens}] if step.tokens else []
    used += [_usd(step.cost_usd)] if step.cost_usd else []
    used += [f"{_('Pass rate')} {step.pass_rate:.0%}"] if step.pass_rate is not None else []
    return f" ({', '.join(used)})" if used else ""


def _usd(amount: Decimal) -> str:
    return f"${amount.normalize():f}"


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "–"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
