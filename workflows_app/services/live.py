"""A run's live events, published after the transaction that made them true."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from gateway_app.services.streams import StreamPublisher
from workflows_app.contracts import Json, Publisher
from workflows_app.models import StepRun, WorkflowRun
from workflows_app.services.claims import Claim


class Silence:
    """The publisher of a run that nobody listens to."""

    def publish(self, event_type: str, data: Json) -> None:
        """Drop it."""

    def delta(self, step: str, text: str) -> None:
        """Drop it."""

    def restart(self, step: str) -> None:
        """Nothing was said that could be taken back."""

    def close(self, outcome: Json | None = None) -> None:
        """There is no stream."""


class LiveRun:
    """Tells a run's stream what happens. Leaving the block sends what is pending; the stream stays open."""

    def __init__(self, run: WorkflowRun) -> None:
        self._stream = StreamPublisher(run.stream_id) if run.stream_id else None
        self.publisher: Publisher = self._stream or Silence()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.__exit__(kind, error, trace)

    def taken_up(self, claim: Claim, last_completed: Callable[[], StepRun | None]) -> None:
        """Say what a reader must know when a worker takes the run up, for the first time or after another's death."""
        if claim.step_run is None:
            return
        if claim.run.cursor == 0 and claim.step_run.attempt == 1:
            self.publisher.publish("run.started", _overview(claim.run))
        elif claim.taken_over:
            # The one before may have died between its commit and its announcement; saying it twice is harmless.
            before = last_completed()
            if before is not None:
                self.completed(before)
            self.publisher.restart(claim.step.key)

    def started(self, step_run: StepRun) -> None:
        """Say that an attempt begins."""
        data = {"step": step_run.key, "action": step_run.action, "via": step_run.via, "attempt": step_run.attempt}
        self.publisher.publish("step.started", data)

    def completed(self, step_run: StepRun) -> None:
        """Say what a step came to."""
        data = {
            "step": step_run.key,
            "action": step_run.action,
            "output": step_run.output,
            "model": step_run.model,
            "tokens": step_run.tokens,
            "cost_usd": step_run.cost_usd,
            "duration_ms": step_run.duration_ms,
        }
        self.publisher.publish("step.completed", data)

    def again(self, step_run: StepRun, error: Json) -> None:
        """Say that an attempt failed and another follows: its text begins anew."""
        self.publisher.publish("step.retried", {"step": step_run.key, "attempt": step_run.attempt, "error": error})
        self.publisher.restart(step_run.key)

    def failed(self, step_run: StepRun) -> None:
        """Say why a step failed."""
        self.publisher.publish("step.failed", {"step": step_run.key, "error": step_run.error})

    def ended(self, run: WorkflowRun) -> None:
        """Say how the run ended, and close the stream."""
        outcome: Json = {
            "run_id": run.id,
            "status": run.status,
            "next_stage": run.next_stage or None,
            "cost_usd": run.cost_usd,
        }
        if run.error:
            outcome["error"] = run.error
        self.publisher.publish(f"run.{run.status}", outcome)
        self.publisher.close(outcome)


def _overview(run: WorkflowRun) -> Json:
    steps = [{"key": step["key"], "action": step["action"], "via": step["via"]} for step in run.steps]
    return {"run_id": run.id, "stage": run.stage, "steps": steps}
