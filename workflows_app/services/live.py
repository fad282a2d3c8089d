"""A run's live events, published after the transaction that made them true."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from accounts_app.exceptions import NotFound
from gateway_app.exceptions import StreamClosed
from gateway_app.services.streams import StreamPublisher
from workflows_app.contracts import Json, Publisher, StepDetail
from workflows_app.models import WorkflowRun
from workflows_app.services.claims import Attempt, Claim

logger = logging.getLogger(__name__)


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


class Stream:
    """A run's stream. One that somebody has ended meanwhile hears nothing more; the run goes on."""

    def __init__(self, publisher: StreamPublisher) -> None:
        self._publisher = publisher

    def publish(self, event_type: str, data: Json) -> None:
        """Send one event."""
        with suppress(StreamClosed):
            self._publisher.publish(event_type, data)

    def delta(self, step: str, text: str) -> None:
        """Send a piece of a step's text."""
        with suppress(StreamClosed):
            self._publisher.delta(step, text)

    def restart(self, step: str) -> None:
        """Say that a step begins again."""
        with suppress(StreamClosed):
            self._publisher.restart(step)

    def close(self, outcome: Json | None = None) -> None:
        """End the stream."""
        self._publisher.close(outcome)


@contextmanager
def live_run(run: WorkflowRun) -> Iterator["LiveRun"]:
    """Open the run's stream for the block. Leaving sends what is pending; the stream stays open."""
    if run.stream_id is None:
        yield LiveRun(Silence())
        return
    try:
        stream = StreamPublisher(run.stream_id)
    except NotFound:
        logger.warning("workflow.stream_missing", extra={"run_id": str(run.pk), "stream_id": str(run.stream_id)})
        yield LiveRun(Silence())
        return
    with stream:
        yield LiveRun(Stream(stream))


class LiveRun:
    """Tells a run's stream what happens."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher

    def taken_up(self, claim: Claim, last_completed: Callable[[], StepDetail | None]) -> None:
        """Say what a reader must know when a worker takes the run up, for the first time or after another's death."""
        if claim.attempt is None:
            return
        if claim.taken_over:
            # The one before may have died between its commit and its announcement; saying it twice is harmless.
            before = last_completed()
            if before is not None:
                self.completed(before)
            self.publisher.restart(claim.attempt.step.key)
        elif claim.run.cursor == 0 and claim.attempt.number == 1:
            self.publisher.publish("run.started", _overview(claim.run))

    def started(self, attempt: Attempt) -> None:
        """Say that an attempt begins."""
        self.publisher.publish("step.started", attempt.facts)

    def began(self, step: StepDetail) -> None:
        """Say that an attempt began that is over by now."""
        data = {"step": step.key, "action": step.action, "via": step.via, "attempt": step.attempt}
        self.publisher.publish("step.started", data)

    def completed(self, step: StepDetail) -> None:
        """Say what a step came to."""
        data = {
            "step": step.key,
            "action": step.action,
            "output": step.output,
            "model": step.model,
            "tokens": step.tokens,
            "cost_usd": step.cost_usd,
            "duration_ms": step.duration_ms,
        }
        self.publisher.publish("step.completed", data)

    def again(self, attempt: Attempt, error: Json) -> None:
        """Say that an attempt failed and another follows: its text begins anew."""
        data = {"step": attempt.step.key, "attempt": attempt.number, "error": error}
        self.publisher.publish("step.retried", data)
        self.publisher.restart(attempt.step.key)

    def failed(self, attempt: Attempt, error: Json) -> None:
        """Say why a step failed."""
        self.publisher.publish("step.failed", {"step": attempt.step.key, "error": error})

    def parked(self, run: WorkflowRun) -> None:
        """Say that the run rests, and what it waits for."""
        self.publisher.publish(f"run.{run.status}", {"run_id": run.id, "wait": run.wait, "stage": run.stage})

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
