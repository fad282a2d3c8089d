"""What an attempt at a step is listed as, the name of its effects, and the pause before another."""

import hashlib
import random
from decimal import Decimal
from uuid import UUID

from accounts_app.ids import uuid7
from workflows_app.contracts import Json, StepSpec
from workflows_app.engine.state import State

MAX_PAUSE_SECONDS = 3600.0


def ended_attempt(run_id: UUID, state: State, step: StepSpec, status: str, output: Json, error: Json | None) -> Json:
    """Return the row of an attempt at the step at the cursor, which has ended: columns of ``step_runs``."""
    return {
        "id": str(uuid7()),
        "path": state.path(step),
        "stage": state.stage,
        "key": step.key,
        "position": state.cursor,
        "action": step.action,
        "via": step.via,
        "attempt": state.attempt or state.attempts_made + 1,
        "status": status,
        "idempotency_key": idempotency_key(run_id, state, step),
        "output": output,
        "error": error,
        "model": str(output.get("model", ""))[:120],
        "tokens": int(output.get("tokens", 0)),
        "cost_usd": str(Decimal(str(output.get("cost_usd", 0)))),
    }


def idempotency_key(run_id: UUID, state: State, step: StepSpec) -> str:
    """Return the name of a step's outside effects: the same for every attempt, for no other step, model or run."""
    whose = f"{run_id}/{state.path(step)}" + ("/fallback" if state.on_fallback else "")
    return hashlib.sha256(whose.encode()).hexdigest()[:48]


def pause_before(step: StepSpec, failures: int) -> float:
    """Seconds before the next try: doubled each time, a share of it random, so that runs do not come back together."""
    whole = min(step.backoff * 2.0 ** (failures - 1), MAX_PAUSE_SECONDS)
    return whole * (1 - step.jitter * random.random())
