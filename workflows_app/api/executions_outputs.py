"""What /api/v1/executions answers."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows_app.contracts import Json, RunRef
from workflows_app.models import LogLevel, RunScope, RunStatus, StepStatus, WorkflowRun

# Of what a run waits for; the rest is the engine's, and may be long.
_OF_A_WAIT = ("kind", "step", "signal", "message", "total", "begun", "ended", "failed")


class TemplateOutput(serializers.Serializer[Any]):
    """A version of a workflow, by name."""

    id = serializers.UUIDField(source="pk")
    name = serializers.CharField()
    version = serializers.CharField()


class ProblemOutput(serializers.Serializer[Any]):
    """Why something failed."""

    code = serializers.CharField()
    message = serializers.CharField(allow_blank=True)


class LinksOutput(serializers.Serializer[Any]):
    """Where to look further."""

    self = serializers.CharField()
    history = serializers.CharField()
    steps = serializers.CharField()
    logs = serializers.CharField()
    children = serializers.CharField()
    stream = serializers.CharField(allow_null=True, help_text="Server-sent events of the live stream.")
    parent = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    origin = serializers.CharField(allow_null=True)


class StartedOutput(serializers.Serializer[RunRef]):
    """A run that was just started."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=RunStatus.choices)
    stage = serializers.CharField()
    stream_id = serializers.UUIDField(allow_null=True)
    links = serializers.SerializerMethodField()

    @extend_schema_field(LinksOutput)
    def get_links(self, run: RunRef) -> dict[str, str | None]:
        return links(run)


class ExecutionOutput(serializers.ModelSerializer[WorkflowRun]):
    """A run in a list."""

    status = serializers.ChoiceField(choices=RunStatus.choices)
    scope = serializers.ChoiceField(choices=RunScope.choices)
    template = TemplateOutput(source="config")
    workspace = serializers.CharField(source="workspace_key")
    task = serializers.UUIDField(source="subject_id", allow_null=True)
    parent = serializers.UUIDField(source="parent_id", allow_null=True)  # type: ignore[assignment]
    origin = serializers.UUIDField(source="origin_id", allow_null=True)
    error = ProblemOutput(allow_null=True)
    pause_requested = serializers.SerializerMethodField()
    cancel_requested = serializers.SerializerMethodField()
    duration_ms = serializers.SerializerMethodField()

    class Meta:
        model = WorkflowRun
        fields = [
            "id",
            "status",
            "template",
            "workspace",
            "scope",
            "stage",
            "next_stage",
            "task",
            "parent",
            "branch",
            "origin",
            "origin_seq",
            "stream_id",
            "priority",
            "cost_usd",
            "error",
            "trace_id",
            "pause_requested",
            "cancel_requested",
            "created_at",
            "started_at",
            "finished_at",
            "duration_ms",
        ]
        read_only_fields = fields

    def get_pause_requested(self, run: WorkflowRun) -> bool:
        return run.pause_requested_at is not None

    def get_cancel_requested(self, run: WorkflowRun) -> bool:
        return run.cancel_requested_at is not None

    def get_duration_ms(self, run: WorkflowRun) -> int | None:
        """From the first step's start to the run's end; None before it."""
        if run.started_at is None or run.finished_at is None:
            return None
        return round((run.finished_at - run.started_at).total_seconds() * 1000)


class WaitOutput(serializers.Serializer[Any]):
    """What a run waits for. ``total``, ``begun``, ``ended`` and ``failed`` are of the runs that it started."""

    kind = serializers.CharField(help_text="timer, signal, approval, children, retry or slot")
    step = serializers.CharField(required=False)
    signal = serializers.CharField(required=False)
    message = serializers.CharField(required=False, allow_blank=True)
    due_at = serializers.DateTimeField(allow_null=True, help_text="When it goes on, or gives up, by itself.")
    total = serializers.IntegerField(required=False)
    begun = serializers.IntegerField(required=False)
    ended = serializers.IntegerField(required=False)
    failed = serializers.IntegerField(required=False)


class PlaceOutput(serializers.Serializer[Any]):
    """A step of the stage that the run is in."""

    key = serializers.CharField()
    action = serializers.CharField()
    via = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=[(each, each) for each in ("done", "current", "ahead")])


class UnderWayOutput(serializers.Serializer[Any]):
    """The attempt that a worker makes just now."""

    key = serializers.CharField()
    attempt = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    worker = serializers.CharField(allow_blank=True)


class ExecutionDetailOutput(ExecutionOutput):
    """A run. The view puts the count of attempts into the context."""

    wait = serializers.SerializerMethodField()
    step = serializers.SerializerMethodField()
    steps = serializers.SerializerMethodField()
    attempts = serializers.SerializerMethodField()
    context = serializers.SerializerMethodField()  # type: ignore[assignment]
    links = serializers.SerializerMethodField()

    class Meta(ExecutionOutput.Meta):
        fields = [*ExecutionOutput.Meta.fields, "wait", "step", "steps", "attempts", "event_seq", "context", "links"]
        read_only_fields = fields

    @extend_schema_field(WaitOutput(allow_null=True))
    def get_wait(self, run: WorkflowRun) -> Json | None:
        if run.wait is None:
            return None
        told = {name: run.wait[name] for name in _OF_A_WAIT if name in run.wait}
        return {**told, "due_at": serializers.DateTimeField().to_representation(run.due_at) if run.due_at else None}

    @extend_schema_field(UnderWayOutput(allow_null=True))
    def get_step(self, run: WorkflowRun) -> Json | None:
        if not run.attempt:
            return None
        under_way = {"attempt": run.attempt, "started_at": run.step_started_at, "worker": run.worker}
        return dict(UnderWayOutput({"key": run.steps[run.cursor]["key"], **under_way}).data)

    @extend_schema_field(PlaceOutput(many=True))
    def get_steps(self, run: WorkflowRun) -> list[Json]:
        """The steps of the stage that the run is in, and how far it is."""
        return [
            {
                "key": step["key"],
                "action": step["action"],
                "via": step.get("via", ""),
                "state": "done" if place < run.cursor else "ahead" if place > run.cursor else "current",
            }
            for place, step in enumerate(run.steps)
        ]

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_attempts(self, run: WorkflowRun) -> dict[str, int]:
        """How many attempts at steps ended in each way."""
        counted: dict[str, int] = self._context["attempts"]
        return counted

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_context(self, run: WorkflowRun) -> Json:
        """What the run began with and has gathered since; of one that completed, its result."""
        given: Json = run.context
        return given

    @extend_schema_field(LinksOutput)
    def get_links(self, run: WorkflowRun) -> dict[str, str | None]:
        return links(run)


class EventOutput(serializers.Serializer[Any]):
    """One fact of a run's history; ``prev_event_id`` is the one before."""

    id = serializers.UUIDField()
    seq = serializers.IntegerField()
    type = serializers.CharField()
    step_key = serializers.CharField(allow_blank=True)
    attempt = serializers.IntegerField(allow_null=True)
    prev_event_id = serializers.UUIDField(allow_null=True)
    at = serializers.DateTimeField()
    trace_id = serializers.CharField(allow_blank=True)
    data = serializers.DictField(child=serializers.JSONField(allow_null=True))  # type: ignore[assignment]


class HistoryOutput(serializers.Serializer[Any]):
    """Events, oldest first. ``next`` is the address of those that follow, null behind the last."""

    next = serializers.CharField(allow_null=True)
    results = EventOutput(many=True)


class LogLineOutput(serializers.Serializer[Any]):
    """A line that a step wrote."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    level = serializers.ChoiceField(choices=LogLevel.choices)
    path = serializers.CharField(allow_blank=True)
    step_key = serializers.CharField(allow_blank=True)
    attempt = serializers.IntegerField(allow_null=True)
    logger = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    data = serializers.DictField(child=serializers.JSONField(allow_null=True))  # type: ignore[assignment]


class LogsOutput(serializers.Serializer[Any]):
    """Lines, oldest first. ``next`` is the address of those that follow, null behind the last."""

    next = serializers.CharField(allow_null=True)
    results = LogLineOutput(many=True)


class AttemptOutput(serializers.Serializer[Any]):
    """One attempt at a step. ``path`` names the step within the run; the one under way has no end yet."""

    path = serializers.CharField()
    stage = serializers.CharField(allow_blank=True)
    key = serializers.CharField()
    action = serializers.CharField()
    via = serializers.CharField(allow_blank=True)
    attempt = serializers.IntegerField()
    status = serializers.ChoiceField(choices=StepStatus.choices)
    output = serializers.DictField(child=serializers.JSONField(allow_null=True))
    error = ProblemOutput(allow_null=True)
    model = serializers.CharField(allow_blank=True)
    tokens = serializers.IntegerField()
    cost_usd = serializers.DecimalField(max_digits=20, decimal_places=10)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)


def links(run: RunRef | WorkflowRun) -> dict[str, str | None]:
    """Return the addresses of what belongs to a run."""
    stream = reverse("stream-events", kwargs={"stream_id": run.stream_id}) if run.stream_id else None
    others = {name: getattr(run, f"{name}_id", None) for name in ("parent", "origin")}
    return {
        "self": _address("execution", run.id),
        **{part: _address(f"execution-{part}", run.id) for part in ("history", "steps", "logs", "children")},
        "stream": stream,
        **{name: _address("execution", other) if other else None for name, other in others.items()},
    }


def _address(name: str, run_id: object) -> str:
    return reverse(name, kwargs={"run_id": run_id})
