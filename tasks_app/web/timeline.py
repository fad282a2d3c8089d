"""The task's timeline as a file, and going back to one of its events."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from accounts_app.exceptions import NotFound
from accounts_app.services.principals import can_write
from accounts_app.web.mixins import OrganizationMixin
from tasks_app.api.serializers import TaskEventOutput
from tasks_app.models import Task, TaskEvent
from tasks_app.selectors import task_events, task_get
from tasks_app.services.replays import event_point
from tasks_app.web.labels import event_label
from workflows_app.reads.timeline_export import json_text, run_json, run_markdown
from workflows_app.selectors import runs_for_subject

_TYPES = {"json": "application/json", "md": "text/markdown; charset=utf-8"}


class ExportView(OrganizationMixin):
    """``timeline.json`` holds the events and all runs, ``timeline.md`` reads like a report."""

    def get(self, request: HttpRequest, task_id: UUID, kind: str) -> HttpResponse:
        if kind not in _TYPES:
            raise NotFound
        task = task_get(task_id)
        text = json_text(_whole(task)) if kind == "json" else _report(task)
        response = HttpResponse(text, content_type=_TYPES[kind])
        response["Content-Disposition"] = f'attachment; filename="task-{task_id}.{kind}"'
        response["Cache-Control"] = "no-store"
        return response


class EventReplayView(OrganizationMixin):
    """Lead to the question before a replay, at the event's place in its run."""

    def may_enter(self) -> bool:
        return can_write(self.tenant)

    def get(self, request: HttpRequest, task_id: UUID, seq: int) -> HttpResponse:
        event = task_events(task_id).filter(seq=seq).first()
        if event is None:
            raise NotFound
        run_id, run_seq = event_point(event)
        response = redirect("runs:replay", run_id)
        response["Location"] += f"?seq={run_seq}"
        return response


def _whole(task: Task) -> dict[str, Any]:
    return {
        "task": {
            "id": task.id,
            "title": task.title,
            "workspace_key": task.workspace_key,
            "status": task.status,
            "cost_usd": task.cost_usd,
            "input_tokens": task.input_tokens,
            "output_tokens": task.output_tokens,
            "created_at": task.created_at,
        },
        "events": TaskEventOutput(task_events(task.id), many=True).data,
        "runs": [run_json(run.id) for run in _runs(task)],
    }


def _report(task: Task) -> str:
    lines = [f"# {task.title}", ""]
    lines += [
        f"- {_('Status')}: {task.get_status_display()}",
        f"- {_('Cost')}: ${task.cost_usd.normalize():f}",
        f"- {_('Tokens')}: {task.input_tokens} + {task.output_tokens}",
        "",
        f"## {_('Timeline')}",
        "",
    ]
    lines += [_line(event) for event in task_events(task.id)]
    return "\n".join([*lines, "", *(run_markdown(run.id, level=2) for run in _runs(task))])


def _line(event: TaskEvent) -> str:
    used = [event.model] if event.model else []
    used += [_("%(count)d tokens") % {"count": event.total_tokens}] if event.total_tokens else []
    used += [f"${event.cost_usd.normalize():f}"] if event.cost_usd else []
    figures = f" ({', '.join(used)})" if used else ""
    moment = event.created_at.isoformat(timespec="seconds")
    return f"{event.seq}. {moment} **{event_label(event.event_key)}**{figures}"


def _runs(task: Task) -> list[Any]:
    own = [run for run in runs_for_subject(task.id) if run.parent_id is None]
    return own[::-1]
