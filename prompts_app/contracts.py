"""What crosses this room's door."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from billing_app.contracts import TokenBuckets


@dataclass(frozen=True)
class VariableSpec:
    """One variable of a prompt. ``trusted`` says that its value is ours and not a stranger's."""

    name: str
    description: str = ""
    required: bool = True
    default: str = ""
    trusted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            "name": self.name,
            "description": self.description,
            "required": self.required,
            "default": self.default,
            "trusted": self.trusted,
        }


@dataclass(frozen=True)
class PromptRef:
    """A prompt, without its content. ``category`` is system, task or mode; ``shared`` is initial data."""

    id: UUID
    key: str
    name: str
    category: str
    workspace_key: str = ""
    shared: bool = False


@dataclass(frozen=True)
class VersionRef:
    """One version of a prompt, with all that is needed to render and send it."""

    id: UUID
    prompt_id: UUID
    number: int
    status: str
    messages: tuple[dict[str, Any], ...]
    variables: tuple[VariableSpec, ...]
    model: str
    parameters: dict[str, Any]
    language: str = ""


@dataclass(frozen=True)
class RunOptions:
    """How to run a prompt.

    ``operation_key`` makes the call happen once: the same key again gives the stored answer. ``on_delta`` is called
    with each piece of text as it arrives; ``should_stop`` is asked between pieces, and True ends the call early.
    """

    operation_key: str
    task_id: UUID | None = None
    run_id: UUID | None = None
    step_key: str = ""
    on_delta: Callable[[str], None] | None = None
    should_stop: Callable[[], bool] | None = None
    model: str = ""
    max_tokens: int | None = None


@dataclass(frozen=True)
class PromptRunOutcome:
    """A completed run. ``run_id`` is the row in prompt_runs; cost in USD, latency in ms."""

    run_id: UUID
    version_id: UUID
    text: str
    model: str
    tokens: TokenBuckets
    cost_usd: Decimal
    latency_ms: int
    finish_reason: str
    prompt_id: UUID | None = None
    call_id: UUID | None = None
    replayed: bool = False


@dataclass(frozen=True)
class RewriteOutcome:
    """A completed rewrite. ``rewrite_id`` is the row in prompt_bootstrap_runs.

    ``version_id`` is the new draft version when a prompt was rewritten, and the rewriting prompt's own version when
    a text was. ``text`` is the new text; for a prompt its messages, joined.
    """

    rewrite_id: UUID
    version_id: UUID
    text: str
    model: str
    tokens: TokenBuckets
    cost_usd: Decimal
    latency_ms: int
    finish_reason: str
    call_id: UUID | None = None
    replayed: bool = False


Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Range:
    """A stretch of one field's text: lines and columns from 1, in code points; the end is exclusive."""

    line: int
    col: int
    end_line: int
    end_col: int


@dataclass(frozen=True)
class Fix:
    """Replace ``range`` of the finding's field by ``text``. ``safe`` says that the meaning surely stays."""

    range: Range
    text: str
    safe: bool


@dataclass(frozen=True)
class Finding:
    """One thing the linter has to say. ``field`` is a path such as ``messages[1].content`` or ``text``."""

    code: str
    severity: Severity
    field: str
    line: int
    col: int
    end_line: int
    end_col: int
    message: str
    why: str
    fix: Fix | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the form that the API, the workflow's output and stored rewrites share."""
        return {
            "code": self.code,
            "severity": self.severity,
            "field": self.field,
            "line": self.line,
            "col": self.col,
            "end_line": self.end_line,
            "end_col": self.end_col,
            "message": self.message,
            "why": self.why,
            "fix": _fix_json(self.fix),
        }


def _fix_json(fix: Fix | None) -> dict[str, Any] | None:
    if fix is None:
        return None
    at = fix.range
    place = {"line": at.line, "col": at.col, "end_line": at.end_line, "end_col": at.end_col}
    return {"range": place, "text": fix.text, "safe": fix.safe}


@dataclass(frozen=True)
class LintDocument:
    """What to check: a prompt's ``messages`` with the ``variables`` it declares, or a ``text`` written for readers.

    ``variables`` None means that nothing is declared, so that no variable can be undeclared. ``schema`` is the JSON
    Schema that the answer is asked to follow, if one goes with the call.
    """

    target: Literal["prompt", "text"]
    messages: tuple[dict[str, Any], ...] = ()
    text: str = ""
    variables: tuple[VariableSpec, ...] | None = None
    schema: dict[str, Any] | None = None
    title: str = ""
    token_budget: int = 16_000


@dataclass(frozen=True)
class AssertionResult:
    """How one assertion went: ``outcome`` is passed, failed or error."""

    type: str
    outcome: str
    message: str
    value: Any = None

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {"type": self.type, "outcome": self.outcome, "message": self.message, "value": self.value}


@dataclass(frozen=True)
class CaseResult:
    """How one case went: ``outcome`` is passed, failed or error."""

    name: str
    outcome: str
    assertions: tuple[AssertionResult, ...] = ()
    output: str = ""
    error_code: str = ""
    case_id: UUID | None = None
    prompt_run_id: UUID | None = None


@dataclass(frozen=True)
class EvalOutcome:
    """One suite held against one target. ``pass_rate`` is passed ÷ (passed + failed), None when neither happened."""

    eval_run_id: UUID
    passed: int
    failed: int
    errors: int
    pass_rate: Decimal | None
    cases: tuple[CaseResult, ...] = ()
    total_tokens: int = 0
    cost_usd: Decimal = field(default=Decimal(0))
