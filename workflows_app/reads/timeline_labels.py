"""Words for what runs, steps, waits and events are called."""

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _

from workflows_app.contracts import Json
from workflows_app.reads.waterfall import APPROVAL, CHILDREN, PAUSED, QUEUED, RETRY, SIGNAL, SLOT, STOPPED, TIMER, WORK

Label = str | Promise

STATUSES: dict[str, Label] = {
    "pending": _("Pending"),
    "running": _("Running"),
    "waiting": _("Waiting"),
    "paused": _("Paused"),
    "completed": _("Completed"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
    "lost": _("Worker lost"),
    "skipped": _("Skipped"),
}
STATUS_TAGS = {
    "pending": "",
    "running": "tag--accent",
    "waiting": "tag--warn",
    "paused": "tag--warn",
    "completed": "tag--good",
    "failed": "tag--bad",
    "cancelled": "",
    "lost": "tag--bad",
    "skipped": "",
}

# What a stretch of a step's time, or a rest of the run, is called.
KINDS: dict[str, Label] = {
    WORK: _("Attempt"),
    QUEUED: _("In the queue"),
    PAUSED: _("Paused"),
    STOPPED: _("Stopped after the failure"),
    RETRY: _("Pause before the next try"),
    TIMER: _("Wait"),
    SIGNAL: _("Wait for a signal"),
    APPROVAL: _("Wait for approval"),
    CHILDREN: _("Runs in parallel"),
    SLOT: _("Wait for a free slot"),
}

_STEPS: dict[str, Label] = {
    "save_brief": _("Keep the brief"),
    "save_original": _("Keep the original"),
    "save_version": _("Save a version"),
    "topic_select": _("Check the topic"),
    "brief_generate": _("Write a brief"),
    "generate": _("Write"),
    "apply": _("Write"),
    "review": _("Review"),
    "linter": _("Review"),
    "optimize": _("Optimize"),
    "rewrite": _("Rewrite"),
    "eval": _("Evaluate"),
    "finish": _("Finish"),
    "approve": _("Approval"),
    "wait": _("Wait"),
}

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

_EVENTS: dict[str, Label] = {
    "run.created": _("Run created"),
    "run.started": _("Run started"),
    "run.waiting": _("Waiting"),
    "run.paused": _("Paused"),
    "run.pause_requested": _("Pause asked for"),
    "run.pause_withdrawn": _("Pause taken back"),
    "run.resumed": _("Resumed"),
    "run.released": _("Given back to the queue"),
    "run.cancel_requested": _("Cancelling asked for"),
    "run.retried": _("Taken up again"),
    "run.forked": _("Replay began"),
    "run.completed": _("Run completed"),
    "run.failed": _("Run failed"),
    "run.cancelled": _("Run cancelled"),
    "stage.entered": _("Stage entered"),
    "stage.gathered": _("Results gathered"),
    "step.started": _("Step started"),
    "step.completed": _("Step completed"),
    "step.skipped": _("Step skipped"),
    "step.retried": _("Attempt failed, another follows"),
    "step.failed": _("Step failed"),
    "step.lost": _("Worker lost"),
    "step.cancelled": _("Step cancelled"),
    "wait.over": _("Wait over"),
    "signal.received": _("Signal received"),
    "child.started": _("Parallel run started"),
    "child.ended": _("Parallel run ended"),
}


def status_label(status: str) -> str:
    """Return what a status is called."""
    return str(STATUSES.get(status, status))


def kind_label(kind: str) -> str:
    """Return what a stretch of time is called."""
    return str(KINDS.get(kind, kind))


def event_label(event_type: str) -> str:
    """Return what an event is called."""
    return str(_EVENTS.get(event_type, event_type))


def stage_name(name: str) -> str:
    """Return a stage's name in the active language, if it is one that ships; else as it was written."""
    return gettext(name) if name in _SHIPPED_STAGES else name


def step_name(key: str, action: str) -> str:
    """Return what a step is called: the usual steps by their name, all others by their key."""
    if not key:
        return kind_label(action)
    label = _STEPS.get(key)
    if label is None and key.startswith(action):
        label = _STEPS.get(action)
    return str(label) if label else key.replace("_", " ").replace("-", " ")


def duration_text(ms: int | None) -> str:
    """Return a length of time for people: 340 ms, 2.4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h, 5 min."""
    if ms is None:
        return "–"
    if ms < 1000:
        return gettext("%(ms)d ms") % {"ms": ms}
    if ms < 60_000:
        # 59.96 is not sixty seconds.
        return gettext("%(seconds)s s") % {"seconds": f"{ms // 100 / 10:g}"}
    seconds = ms // 1000
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if hours == 0:
        return _two(gettext("%(count)d min") % {"count": minutes}, gettext("%(count)d s"), seconds % 60)
    if days == 0:
        return _two(gettext("%(count)d h") % {"count": hours}, gettext("%(count)d min"), minutes % 60)
    return _two(gettext("%(count)d d") % {"count": days}, gettext("%(count)d h"), hours % 24)


def _two(larger: str, smaller: str, count: int) -> str:
    return f"{larger} {smaller % {'count': count}}" if count else larger


def wait_text(wait: Json) -> str:
    """Return what a run waits for, in a sentence. Moments are the template's to show."""
    kind = wait.get("kind")
    if kind == APPROVAL:
        return gettext("The run waits for an approval.")
    if kind == SIGNAL:
        return gettext("The run waits for the signal “%(name)s”.") % {"name": wait.get("signal", "")}
    if kind == SLOT:
        name = str(wait.get("key", "")).removeprefix("step:")
        return gettext("The run waits for a free slot of “%(name)s”.") % {"name": name}
    if kind == RETRY:
        return gettext("The last attempt failed; the run rests before the next one.")
    if kind == CHILDREN:
        total, ended = int(wait.get("total", 0)), int(wait.get("ended", 0))
        words = ngettext(
            "%(ended)d of %(total)d parallel run has ended.", "%(ended)d of %(total)d parallel runs have ended.", total
        )
        return words % {"ended": ended, "total": total}
    return gettext("The run waits until its time has come.")
