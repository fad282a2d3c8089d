"""Words for keys: events, actions and the stages of the workflows that ship."""

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from tasks_app.services.plans import APPLY, EVAL, FINISH, GENERATE, LINTER, REWRITE

# Stage names are data of the workflow; those of the shipped ones can be said in the reader's language.
_SHIPPED_STAGES = (
    gettext_noop("Write from a brief"),
    gettext_noop("Write from an idea"),
    gettext_noop("Rewrite a given text"),
    gettext_noop("Review and polish"),
    gettext_noop("Finalize"),
    gettext_noop("Draft a prompt"),
    gettext_noop("Compare and improve"),
    gettext_noop("Answer"),
)

ACTIONS: dict[str, str | Promise] = {
    GENERATE: _("Run the stage"),
    APPLY: _("Write only"),
    LINTER: _("Check only"),
    EVAL: _("Evaluate only"),
    REWRITE: _("Rewrite only"),
    FINISH: _("Finish"),
}

_EVENTS: dict[str, str | Promise] = {
    "create": _("Created"),
    "advance": _("Advanced"),
    "complete": _("Stage completed"),
    "apply": _("Text written"),
    "linter": _("Checked"),
    "eval": _("Evaluated"),
    "rewrite": _("Rewritten"),
    "save_brief": _("Brief kept"),
    "save_original": _("Original kept"),
    "save_version": _("Version saved"),
    "finish": _("Finished"),
    "replay": _("Replayed"),
    "approve": _("Approved"),
    "wait": _("Waited"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
    "usage": _("Call settled later"),
    "archive": _("Archived"),
    "unarchive": _("Taken back"),
}

_STEPS: dict[str, str | Promise] = {
    "save_brief": _("Keep the brief"),
    "save_original": _("Keep the original"),
    "save_version": _("Save a version"),
    "topic_select": _("Check the topic"),
    "brief_generate": _("Write a brief"),
    "generate": _("Write"),
    "review": _("Review"),
    "optimize": _("Optimize"),
    "eval": _("Evaluate"),
    "linter": _("Review"),
    "apply": _("Write"),
    "rewrite": _("Rewrite"),
    "finish": _("Finish"),
    "approve": _("Approval"),
    "wait": _("Wait"),
}


def stage_label(name: str) -> str:
    """Return a stage's name in the active language, if it is one that ships; else as it was written."""
    return gettext(name) if name in _SHIPPED_STAGES else name


def event_label(event_key: str) -> str:
    """Return what an event is called."""
    kind, _colon, stage = event_key.partition(":")
    label = str(_EVENTS.get(kind, kind.replace("_", " ")))
    return f"{label} · {stage}" if stage else label


def step_label(action: str) -> str:
    """Return what a step's action is called."""
    return str(_STEPS.get(action, action.replace("_", " ")))


def step_labels() -> dict[str, str]:
    """Return all names of steps, for the script that shows a run's progress."""
    return {action: str(label) for action, label in _STEPS.items()}
