"""One model call of this room: through the gateway, delta by delta, and what it leaves on a row.

No transaction is open while the model writes. The caller's operation key makes the call happen once: when a worker
died after the gateway had settled and before we had stored our row, the gateway gives the same answer again.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounts_app.exceptions import DeepSpaceError
from accounts_app.services.trace import current_trace_id
from billing_app.contracts import TokenBuckets
from gateway_app.contracts import ChatRequest, ChatResult, Ending
from prompts_app.contracts import RunOptions, VersionRef
from prompts_app.exceptions import RunStopped
from prompts_app.models import RunStatus
from prompts_app.models.base import CallRecord
from prompts_app.services.texts import storable

if TYPE_CHECKING:
    from gateway_app.services.chat import ChatStream


@dataclass(frozen=True)
class Call:
    """How a call went: the text that came, the gateway's result when it came to an end, the error when it did not."""

    text: str
    result: ChatResult | None = None
    error: DeepSpaceError | None = None

    @property
    def status(self) -> RunStatus:
        """What the row says."""
        if self.error is None:
            return RunStatus.COMPLETED
        return RunStatus.STOPPED if isinstance(self.error, RunStopped) else RunStatus.FAILED


def request_for(
    version: VersionRef, messages: tuple[dict[str, Any], ...], options: RunOptions, *, purpose: str
) -> ChatRequest:
    """Return the gateway's request. What the options say goes before what the version says."""
    return ChatRequest(
        messages=messages,
        operation_key=options.operation_key,
        model=options.model or version.model,
        max_tokens=options.max_tokens or version.parameters.get("max_tokens"),
        temperature=version.parameters.get("temperature"),
        response_format=version.parameters.get("response_format"),
        purpose=purpose,
        task_id=options.task_id,
        run_id=options.run_id,
        step_key=options.step_key,
        prompt_version_id=version.id,
    )


def call_model(request: ChatRequest, options: RunOptions) -> Call:
    """Make the call; never raises for what the gateway or the caller's stop brings about, but tells it."""
    # With the openai package, which costs 20 MiB: only processes that call models load it.
    from gateway_app.services.chat import chat_stream

    pieces: list[str] = []
    stream = chat_stream(request, options.should_stop)
    try:
        with stream:
            for delta in _until_stopped(stream, options):
                pieces.append(delta)
                if options.on_delta is not None:
                    options.on_delta(delta)
        if stream.result.ending == Ending.CLIENT_GONE:
            raise RunStopped
    except DeepSpaceError as error:
        return Call(text=storable("".join(pieces)), result=_settled(stream), error=error)
    return Call(text=storable(stream.result.text), result=stream.result)


def _settled(stream: "ChatStream") -> ChatResult | None:
    # A call that was refused before it began has no result; one that broke off was settled and has.
    with suppress(RuntimeError):
        return stream.result
    return None


def _until_stopped(stream: Iterable[str], options: RunOptions) -> Iterator[str]:
    # Leaving the stream early is what tells the gateway that nobody listens any more.
    for delta in stream:
        if options.should_stop is not None and options.should_stop():
            raise RunStopped
        yield delta


def row_fields(call: Call, options: RunOptions) -> dict[str, Any]:
    """Return the fields that every row of a call has."""
    fields: dict[str, Any] = {
        "status": call.status,
        "error_code": call.error.code if call.error else "",
        "task_id": options.task_id,
        "run_id": options.run_id,
        "step_key": options.step_key,
        "trace_id": current_trace_id(),
    }
    return fields | (_result_fields(call.result) if call.result else {"model": options.model})


def _result_fields(result: ChatResult) -> dict[str, Any]:
    tokens = result.tokens
    return {
        "model": result.model,
        "input_tokens": tokens.input,
        "cached_input_tokens": tokens.cached_input,
        "cache_write_tokens": tokens.cache_write,
        "output_tokens": tokens.output,
        "reasoning_tokens": tokens.reasoning,
        "cost_usd": result.cost_usd,
        "latency_ms": result.latency_ms,
        "ending": result.ending,
        "finish_reason": result.finish_reason,
        "call_id": result.call_id,
    }


def tokens_of(row: CallRecord) -> TokenBuckets:
    """Return a row's tokens as billing counts them."""
    return TokenBuckets(
        input=row.input_tokens,
        cached_input=row.cached_input_tokens,
        cache_write=row.cache_write_tokens,
        output=row.output_tokens,
        reasoning=row.reasoning_tokens,
    )
