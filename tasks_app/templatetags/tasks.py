"""Names for keys, and Markdown, in this room's templates."""

import json

from django import template
from django.utils.safestring import SafeString

from tasks_app.models import TaskStatus
from tasks_app.web import labels
from tasks_app.web.markdown import markdown_html

register = template.Library()

_STATUS_TAGS = {
    TaskStatus.ACTIVE: "tag--accent",
    TaskStatus.COMPLETED: "tag--good",
    TaskStatus.FAILED: "tag--bad",
    TaskStatus.ARCHIVED: "",
}


@register.filter
def markdown(text: str) -> SafeString:
    """Render Markdown safely."""
    return markdown_html(text)


@register.filter
def stage_label(name: str) -> str:
    """A stage's name in the active language."""
    return labels.stage_label(name)


@register.filter
def event_label(event_key: str) -> str:
    """What an event is called."""
    return labels.event_label(event_key)


@register.filter
def step_label(action: str) -> str:
    """What a step's action is called."""
    return labels.step_label(action)


@register.filter
def action_label(action: str) -> str:
    """What an advance's action is called."""
    return str(labels.ACTIONS.get(action, action))


@register.filter
def status_tag(status: str) -> str:
    """The tag's colour for a task's status."""
    return _STATUS_TAGS.get(TaskStatus(status), "")


@register.filter
def percent(share: float | str | None) -> str:
    """A share, also one kept as text (``"0.5"``), as ``50%``."""
    return "–" if share is None else f"{float(share):.0%}"


@register.filter
def pretty_json(value: object) -> str:
    """JSON for people; the template escapes it."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
