"""Words on the engine's page."""

from django import template

from workflows_app.reads import timeline_labels

register = template.Library()


@register.filter
def wait_kind(kind: str) -> str:
    """What a kind of waiting is called."""
    return timeline_labels.kind_label(kind)
