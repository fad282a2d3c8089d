"""What this room hands over: plain values, no rows."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Route:
    """Where a sentence goes. ``original`` is the text that was given to work on, '' when there is none.

    ``reason`` names the rule that decided (for the log and the tests), ``language`` is a language code of ours.
    """

    workspace_key: str
    stage: str
    title: str
    instruction: str
    original: str
    language: str
    reason: str


@dataclass(frozen=True)
class NextStep:
    """What the Advance button does: ``action`` on ``stage``. Both empty when nothing is left to do."""

    stage: str = ""
    stage_name: str = ""
    action: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether there is anything to advance to."""
        return bool(self.action)


@dataclass(frozen=True)
class TaskCreated:
    """The answer of `task_create`; ``replayed`` when an earlier request with the same key made the task."""

    task_id: UUID
    workspace_key: str
    next_stage: str
    replayed: bool = False


@dataclass(frozen=True)
class AdvanceStarted:
    """The answer of `task_advance`. ``run_id`` and ``stream_id`` are None when the deed needed no run."""

    task_id: UUID
    run_id: UUID | None
    stream_id: UUID | None
    next_stage: str | None
    replayed: bool = False


@dataclass(frozen=True)
class RunOutcome:
    """How a run stands: ``status`` as the engine names it; ``version_id`` of the last step that had one."""

    status: str
    version_id: str | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True)
class EventDraft:
    """One event before it has its place in the chain. Tokens and USD come from the task's pending usage."""

    event_key: str
    stage_key: str = ""
    step_key: str = ""
    run_id: UUID | None = None
    model: str = ""
    input: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskBrief:
    """A task as other pages list it beside their own things (the prompt list, the prompt's side bar)."""

    id: UUID
    title: str
    status: str
    updated_at: datetime
    cost_usd: Decimal
