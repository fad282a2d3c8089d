"""What crosses the border of this room: plain, frozen values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol
from uuid import UUID

Json = dict[str, Any]


@dataclass(frozen=True)
class StepSpec:
    """One step of a stage. ``key`` is unique in its stage; ``via`` is empty for actions that are their own handler."""

    key: str
    action: str
    via: str = ""
    template: str = ""
    params: Json = field(default_factory=dict)
    attempts: int = 0

    @property
    def handler(self) -> str:
        """The registry's name for what runs this step."""
        return self.via or self.action

    def matches(self, name: str) -> bool:
        """Whether ``name`` picks this step: its key, its action, its via, or a part of that ("rewrite")."""
        return name in {self.key, self.action, self.via, *self.via.split("/")}

    def as_json(self) -> Json:
        """The snapshot that a run keeps."""
        return {
            "key": self.key,
            "action": self.action,
            "via": self.via,
            "with": self.template,
            "params": self.params,
            "attempts": self.attempts,
        }

    @classmethod
    def from_json(cls, data: Json) -> "StepSpec":
        """The reverse of `as_json`."""
        return cls(
            key=data["key"],
            action=data["action"],
            via=data["via"],
            template=data["with"],
            params=data["params"],
            attempts=data["attempts"],
        )


@dataclass(frozen=True)
class StageSpec:
    """One stage: its steps run in order in one run; ``next`` names the stage after it, None at the end."""

    key: str
    name: str
    steps: tuple[StepSpec, ...]
    next: str | None = None


@dataclass(frozen=True)
class ConfigRef:
    """A published workflow version. ``id`` pins it for a run."""

    id: UUID
    workspace: str
    version: str
    name: str
    stages: Mapping[str, StageSpec]
    start: str


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
    StepStopped.
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


@dataclass(frozen=True)
class StepResult:
    """What a handler gives back. ``output`` is small JSON for the log; ``set`` is merged into the run's context.

    Known keys of ``output``: model, tokens (a total), cost_usd (a decimal as text), prompt_run_id, version_id,
    findings, pass_rate.
    """

    output: Json = field(default_factory=dict)
    set: Json = field(default_factory=dict)
