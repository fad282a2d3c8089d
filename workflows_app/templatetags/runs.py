"""Words and figures in the pages of runs."""

import json
from typing import Any

from django import template

from workflows_app.contracts import Json
from workflows_app.models import LogLevel
from workflows_app.reads import timeline_labels

register = template.Library()

# A text may be 100,000 characters long; whoever wants all of it takes the export.
_TEXT_SHOWN = 4000


@register.filter
def run_status(status: str) -> str:
    """What a status is called."""
    return timeline_labels.status_label(status)


@register.filter
def run_status_tag(status: str) -> str:
    """The tag's colour for a status."""
    return timeline_labels.STATUS_TAGS.get(status, "")


@register.filter
def run_event(event_type: str) -> str:
    """What an event is called."""
    return timeline_labels.event_label(event_type)


@register.filter
def stage_name(name: str) -> str:
    """A stage's name in the active language."""
    return timeline_labels.stage_name(name)


@register.filter
def duration(ms: int | None) -> str:
    """A length of time for people."""
    return timeline_labels.duration_text(ms)


@register.filter
def run_wait(wait: Json) -> str:
    """What a run waits for."""
    return timeline_labels.wait_text(wait)


@register.filter
def log_level(level: str) -> str:
    """What a level of the log is called."""
    return str(dict(LogLevel.choices).get(level, level))


@register.filter
def rate(share: float | None) -> str:
    """A share as a percentage."""
    return "–" if share is None else f"{share:.0%}"


@register.filter
def json_shown(value: object) -> str:
    """JSON for people, with long texts cut; the template escapes it."""
    return json.dumps(_cut(value), ensure_ascii=False, indent=2, default=str)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _TEXT_SHOWN:
        return f"{value[:_TEXT_SHOWN]} … (+{len(value) - _TEXT_SHOWN})"
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    return [_cut(item) for item in value] if isinstance(value, list) else value
