"""What crosses the border of this room: plain, frozen values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol
from uuid import UUID

from workflows_app.logs import step_log

Json = dict[str, Any]


FAIL, CONTINUE, GOTO = "fail", "continue", "goto"


@dataclass(frozen=True)
class StepSpec:
    """One step of a stage. ``key`` is unique in its stage; ``via`` is empty for actions that are their own handler.

    ``when`` is a condition (CEL, see `workflows_app.services.conditions`): where it is false the step is skipped.
    Retries: ``attempts`` tries in all (0: the engine's default), ``backoff`` seconds before the second, twice that
    before each further one, of which the share ``jitter`` (0 to 1) is random; ``retry_on`` names the error codes that
    are tried again (empty: those that may pass by themselves). ``timeout`` and ``heartbeat`` are seconds (0: the
    engine's default, none). ``on_error``: fail, continue, or goto the stage ``goto``. ``fallback_model`` gets another
    round of tries when the attempts are used up. At most ``concurrency`` steps with the same ``concurrency_key`` run
    at a time in an organization.
    """

    key: str
    action: str
    via: str = ""
    template: str = ""
    params: Json = field(default_factory=dict)
    attempts: int = 0
    when: str = ""
    backoff: float = 0.4
    jitter: float = 1.0
    retry_on: tuple[str, ...] = ()
    timeout: int = 0
    heartbeat: int = 0
    on_error: str = FAIL
    goto: str = ""
    fallback_model: str = ""
    concurrency_key: str = ""
    concurrency: int = 1

    @property
    def handler(self) -> str:
        """The registry's name for what runs this step."""
        return self.via or self.action

    def matches(self, name: str) -> bool:
        """Whether ``name`` picks this step: its key, its action, its via, or a part of that ("rewrite")."""
        return name in {self.key, self.action, self.via, *self.via.split("/")}

    def as_json(self) -> Json:
        """The snapshot that a run keeps: what differs from the defaults, and what every reader wants to see."""
        return {
            ("with" if item.name == "template" else item.name): getattr(self, item.name)
            for item in fields(self)
            if item.name in _ALWAYS_KEPT or getattr(self, item.name) != item.default
        }

    @classmethod
    def from_json(cls, data: Json) -> "StepSpec":
        """The reverse of `as_json`."""
        values = dict(data)
        values["template"] = values.pop("with", "")
        return cls(**values | {"retry_on": tuple(values.get("retry_on", ()))})


_ALWAYS_KEPT = frozenset({"key", "action", "via", "template", "params", "attempts"})


@dataclass(frozen=True)
class Transition:
    """Where a stage leads: to stage ``to`` if the condition ``when`` holds; an empty one always does."""

    to: str
    when: str = ""


@dataclass(frozen=True)
class ParallelSpec:
    """A stage done once for each item of a list, in runs of their own.

    ``over`` is an expression (CEL) that gives the list. Each run finds its item as ``context.<name>``; what the runs
    leave in their context is collected, in the list's order, as ``context.<into>``. At most ``limit`` run at a time.
    """

    over: str
    name: str = "item"
    into: str = "results"
    limit: int = 8


@dataclass(frozen=True)
class StageSpec:
    """One stage: its steps run in order. ``transitions`` are tried in order; none that holds ends the workflow."""

    key: str
    name: str
    steps: tuple[StepSpec, ...]
    transitions: tuple[Transition, ...] = ()
    parallel: ParallelSpec | None = None

    @property
    def next(self) -> str | None:
        """The stage that follows where no condition says otherwise; None at the end."""
        usual = [item.to for item in self.transitions if not item.when] or [item.to for item in self.transitions]
        return usual[0] if usual else None


@dataclass(frozen=True)
class Limits:
    """What one run may use; None: no limit. ``max_cost`` in USD, ``max_duration`` in seconds since its start.

    ``max_steps`` counts attempts at steps. ``max_runs``: how many runs of the template an organization may have going.
    """

    max_cost: Decimal | None = None
    max_steps: int | None = None
    max_duration: int | None = None
    max_runs: int | None = None


@dataclass(frozen=True)
class ConfigRef:
    """A published workflow version. ``id`` pins it for a run."""

    id: UUID
    workspace: str
    version: str
    name: str
    stages: Mapping[str, StageSpec]
    start: str
    limits: Limits = Limits()


@dataclass(frozen=True)
class ConfigError:
    """One finding about a workflow document. ``pointer`` is a JSON pointer (RFC 6901) into it."""

    pointer: str
    message: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True)
class WorkspaceRef:
    """A workspace, named in the active language."""

    key: str
    name: str
    is_active: bool


@dataclass(frozen=True)
class RunRef:
    """A run as its starter sees it."""

    id: UUID
    status: str
    stream_id: UUID | None
    stage: str


@dataclass(frozen=True)
class RunDetail:
    """A run's whole state. ``cost_usd`` is the sum over its completed steps; ``error`` is ``{code, message}``."""

    id: UUID
    organization_id: UUID
    user_id: UUID | None
    config_id: UUID
    workspace_key: str
    stage: str
    next_stage: str | None
    subject_id: UUID | None
    stream_id: UUID | None
    status: str
    steps: tuple[StepSpec, ...]
    cursor: int
    context: Json
    error: Json | None
    cost_usd: Decimal
    trace_id: str
    scope: str = "stage"
    attempt: int = 0
    wait: Json | None = None
    parent_id: UUID | None = None
    branch: int | None = None
    origin_id: UUID | None = None
    origin_seq: int | None = None

    @property
    def ref(self) -> RunRef:
        """The short form."""
        return RunRef(id=self.id, status=self.status, stream_id=self.stream_id, stage=self.stage)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.status in {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class StepDetail:
    """One attempt at one step. ``duration_ms`` is None while it runs."""

    key: str
    action: str
    via: str
    attempt: int
    status: str
    output: Json
    error: Json | None
    model: str
    tokens: int
    cost_usd: Decimal
    duration_ms: int | None
    path: str = ""
    stage: str = ""
    started_at: datetime | None = None


@dataclass(frozen=True)
class EventDetail:
    """One line of a run's log, chained to the one before."""

    id: UUID
    seq: int
    prev_event_id: UUID | None
    type: str
    step_key: str
    data: Json
    trace_id: str
    at: str
    attempt: int | None = None


@dataclass(frozen=True)
class LogLine:
    """One line that was logged while a step was carried out. ``seq`` numbers the run's lines; ``at`` is ISO 8601."""

    seq: int
    path: str
    step_key: str
    attempt: int
    level: str
    logger: str
    message: str
    data: Json
    at: str


class Publisher(Protocol):
    """Where a run's live events go; the gateway's StreamPublisher is one."""

    def publish(self, event_type: str, data: Json) -> None:
        """Send one event."""

    def delta(self, step: str, text: str) -> None:
        """Send a piece of a step's text."""

    def restart(self, step: str) -> None:
        """Say that a step begins again and replaces its text."""

    def close(self, outcome: Json | None = None) -> None:
        """End the stream and keep its outcome."""


@dataclass(frozen=True)
class StepContext:
    """What a handler is given.

    ``idempotency_key`` is the same for every attempt at this step of this run: pass it on with each outside effect.
    ``context`` is what the run has gathered so far (brief, original, text, findings, title, …); read it only.
    ``should_stop`` turns true when the run is cancelled, its lease is lost or its time is up: stop, and raise
    StepStopped. ``heartbeat`` says that the step is alive, where its document sets how long it may be silent;
    publishing does so too. ``log("Found errors", level="warning", count=3)`` keeps a line with the run.
    """

    run_id: UUID
    step_key: str
    action: str
    via: str
    template: str
    params: Json
    attempt: int
    idempotency_key: str
    task_id: UUID | None
    workspace_key: str
    context: Mapping[str, Any]
    publisher: Publisher
    should_stop: Callable[[], bool]
    heartbeat: Callable[[], None] = lambda: None
    log: Callable[..., None] = step_log


@dataclass(frozen=True)
class StepResult:
    """What a handler gives back. ``output`` is small JSON for the log; ``set`` is merged into the run's context.

    Known keys of ``output``: model, tokens (a total), cost_usd (a decimal as text), prompt_run_id, version_id,
    findings, pass_rate.
    """

    output: Json = field(default_factory=dict)
    set: Json = field(default_factory=dict)
