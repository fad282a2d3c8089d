"""Chat with a model: the only way out for every room above.

The caller has a bound tenant and no open transaction: a call commits its hold before it begins and may wait for
minutes. An open transaction is refused with RuntimeError (a test's own frame is not counted).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from gateway_app.contracts import CallRequest, ChatRequest, ChatResult, Ending
from gateway_app.exceptions import EmptyAnswer
from gateway_app.services import pipeline, tokens, transport
from gateway_app.services.call import Call
from gateway_app.services.failures import CallError
from gateway_app.services.limits import tenant_limit_rules
from gateway_app.services.operations import chat_result, replayed_result, request_hash
from gateway_app.services.snapshot import snapshot_load
from gateway_app.services.transport import CallerLeftError, Chat


def chat(request: ChatRequest) -> ChatResult:
    """Make the call and return its whole result; raises what `ChatStream` raises."""
    with chat_stream(request) as stream:
        for _text in stream:
            pass
    return stream.result


def chat_stream(request: ChatRequest, should_stop: Callable[[], bool] | None = None) -> "ChatStream":
    """Return the call as a context manager that is an iterator of text deltas.

    ``should_stop`` is asked four times a second while nothing comes; True leaves the call, as closing it would: the
    deltas end, and the result's ending is client_gone.
    """
    return ChatStream(request, should_stop)


def achat_stream(request: ChatRequest) -> "AsyncChatStream":
    """Return the call as an asynchronous context manager that is an asynchronous iterator of text deltas."""
    return AsyncChatStream(request)


class _Stream:
    """What both kinds of stream share: the call, its result, how its end becomes an error."""

    _chat: Chat

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._is_open = False
        self._result: ChatResult | None = None
        self._error_code = ""

    @property
    def result(self) -> ChatResult:
        """The settled result, after the last delta; raises RuntimeError before that."""
        if self._result is None or self._is_open:
            raise RuntimeError("A stream has its result after its last delta.")
        return self._result

    def _begin(self) -> None:
        self._chat = _chat_of(self._request)
        call = self._chat.call
        pipeline.begin(call)
        if call.replayed is not None:
            self._result = replayed_result(call.replayed)
        self._is_open = call.replayed is None

    def _end(self, ending: Ending) -> None:
        self._is_open = False
        answer, call = self._chat.answer, self._chat.call
        call.outcome = answer.outcome(self._request.messages, self._error_code)
        call.answer = {"text": answer.text.replace("\x00", ""), "tool_calls": list(answer.tool_calls)}
        pipeline.settle(call, ending)
        self._result = chat_result(call, answer, ending)

    def _failed(self, error: Exception) -> Ending:
        """How a call ends that raised: as the provider's failure says, else as refused (our own mistake)."""
        if isinstance(error, CallError):
            self._error_code = error.failure.error.code
            return error.failure.ending
        self._error_code = "internal_error"
        return Ending.UPSTREAM_CUT if self._chat.answer.has_output else Ending.REFUSED

    def _whole(self) -> Ending:
        ending = self._chat.answer.natural_ending()
        if ending is Ending.ZERO_OUTPUT:
            self._error_code = EmptyAnswer.code
        return ending

    def _stored(self) -> Generator[str, None, None]:
        assert self._result
        if self._result.text:
            yield self._result.text


class ChatStream(_Stream):
    """A streamed call: ``with chat_stream(request) as stream: for text in stream: …``, then ``stream.result``.

    Entering makes the hold and raises what it refuses (InsufficientFunds, BudgetExceeded, RateLimited, ModelNotFound,
    ModelNotPriced, Conflict …). Iterating raises ModelUnavailable, UpstreamRefused, UpstreamTimeout, UpstreamCut or
    EmptyAnswer, after settling. Leaving early ends the provider's work at once and settles the call as client_gone.
    """

    def __init__(self, request: ChatRequest, should_stop: Callable[[], bool] | None = None) -> None:
        super().__init__(request)
        self._should_stop = should_stop

    def __enter__(self) -> Self:
        self._begin()
        self._deltas = self._run() if self._is_open else self._stored()
        return self

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._deltas)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave: nothing more is read, and what was delivered is settled. Harmless after the end."""
        self._deltas.close()
        if self._is_open:  # closed before the first delta was asked for
            self._end(Ending.CLIENT_GONE)

    def _run(self) -> Generator[str, None, None]:
        # Whatever leaves this frame unannounced, the caller has left.
        ending = Ending.CLIENT_GONE
        try:
            yield from transport.deltas(self._chat, self._should_stop)
            ending = self._whole()
        except CallerLeftError:
            pass
        except Exception as error:
            ending = self._failed(error)
            if not isinstance(error, CallError):
                raise
            raise error.failure.error from error
        finally:
            self._end(ending)
        if ending is Ending.ZERO_OUTPUT:
            raise EmptyAnswer


class AsyncChatStream(_Stream):
    """`ChatStream` for event loops: ``async with achat_stream(request) as stream: async for text in stream: …``."""

    async def __aenter__(self) -> Self:
        try:
            await _finish(sync_to_async(self._begin, thread_sensitive=False)())
        except asyncio.CancelledError:
            if self._is_open:
                await self._settle(Ending.CLIENT_GONE)
            raise
        self._deltas = self._run() if self._is_open else self._astored()
        return self

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        return await anext(self._deltas)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave: nothing more is read, and what was delivered is settled. Harmless after the end."""
        try:
            await self._deltas.aclose()
        finally:
            if self._is_open:
                await self._settle(Ending.CLIENT_GONE)

    async def _run(self) -> AsyncGenerator[str, None]:
        ending = Ending.CLIENT_GONE
        texts = transport.adeltas(self._chat)
        try:
            async for text in texts:
                yield text
            ending = self._whole()
        except Exception as error:
            ending = self._failed(error)
            if not isinstance(error, CallError):
                raise
            raise error.failure.error from error
        finally:
            try:
                await texts.aclose()
            finally:  # cancelled again while the connection was being closed
                await self._settle(ending)
        if ending is Ending.ZERO_OUTPUT:
            raise EmptyAnswer

    async def _settle(self, ending: Ending) -> None:
        self._is_open = False
        await _finish(sync_to_async(self._end, thread_sensitive=False)(ending))

    async def _astored(self) -> AsyncGenerator[str, None]:
        for text in self._stored():
            yield text


def _chat_of(request: ChatRequest) -> Chat:
    """Return the call to make, with what to decide by read afresh. Raises InvalidInput."""
    if not request.messages or not request.operation_key:
        raise InvalidInput(_("A call needs messages and an operation key."))
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InvalidInput.for_field("max_tokens", _("At least one token must be allowed."))
    with transaction.atomic(durable=True):
        snapshot = snapshot_load()
        limits = tenant_limit_rules()
    return Chat(request, Call(_call_request(request), snapshot, limits=limits))


def _call_request(request: ChatRequest) -> CallRequest:
    extra = {**request.extra, "response_format": request.response_format}
    return CallRequest(
        endpoint="chat/completions",
        model=request.model,
        input_bound=tokens.input_bound(request.messages, extra),
        max_output=request.max_tokens,
        is_stream=True,
        operation_key=request.operation_key,
        request_hash=request_hash(request),
        purpose=request.purpose,
        task_id=request.task_id,
        run_id=request.run_id,
        step_key=request.step_key,
        prompt_version_id=request.prompt_version_id,
    )


async def _finish(work: Coroutine[Any, Any, Any]) -> None:
    """Do ``work`` to its end even when the caller is cancelled meanwhile; the cancellation goes on afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
