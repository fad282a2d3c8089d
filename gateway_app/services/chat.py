"""Chat with a model: the only way out for every room above.

The caller has a bound tenant and no open transaction: a call commits its hold before it begins and may wait for
minutes. An open transaction is refused with RuntimeError (a test's own frame is not counted).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Any, Self

from asgiref.sync import sync_to_async

from gateway_app.contracts import ChatRequest, ChatResult, Ending
from gateway_app.exceptions import EmptyAnswer
from gateway_app.services import pipeline, transport
from gateway_app.services.failures import CallError
from gateway_app.services.pipeline import Call


def chat(request: ChatRequest) -> ChatResult:
    """Make the call and return its whole result; raises what `ChatStream` raises."""
    with chat_stream(request) as stream:
        for _text in stream:
            pass
    return stream.result


def chat_stream(request: ChatRequest) -> "ChatStream":
    """Return the call as a context manager that is an iterator of text deltas."""
    return ChatStream(request)


def achat_stream(request: ChatRequest) -> "AsyncChatStream":
    """Return the call as an asynchronous context manager that is an asynchronous iterator of text deltas."""
    return AsyncChatStream(request)


class _Stream:
    """What both kinds of stream share: the call, its result, how its end becomes an error."""

    def __init__(self, request: ChatRequest) -> None:
        self._call = Call(request)
        self._is_open = False

    @property
    def result(self) -> ChatResult:
        """The settled result, after the last delta; raises RuntimeError before that."""
        if self._call.result is None or self._is_open:
            raise RuntimeError("A stream has its result after its last delta.")
        return self._call.result

    def _failed(self, error: Exception) -> Ending:
        """How a call ends that raised: as the provider's failure says, else as refused (our own mistake)."""
        if isinstance(error, CallError):
            self._call.error_code = error.failure.error.code
            return error.failure.ending
        self._call.error_code = "internal_error"
        return Ending.UPSTREAM_CUT if self._call.answer.has_output else Ending.REFUSED

    def _whole(self) -> Ending:
        ending = self._call.answer.natural_ending()
        if ending is Ending.ZERO_OUTPUT:
            self._call.error_code = EmptyAnswer.code
        return ending


class ChatStream(_Stream):
    """A streamed call: ``with chat_stream(request) as stream: for text in stream: …``, then ``stream.result``.

    Entering makes the hold and raises what it refuses (InsufficientFunds, ModelNotFound, ModelNotPriced, Conflict …).
    Iterating raises ModelUnavailable, UpstreamRefused, UpstreamTimeout, UpstreamCut or EmptyAnswer, after settling.
    Leaving early ends the provider's work at once and settles the call as client_gone.
    """

    def __enter__(self) -> Self:
        pipeline.begin(self._call)
        self._is_open = self._call.result is None
        self._deltas = self._run() if self._is_open else _stored(self._call)
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
            self._settle(Ending.CLIENT_GONE)

    def _run(self) -> Generator[str, None, None]:
        # Whatever leaves this frame unannounced, the caller has left.
        ending = Ending.CLIENT_GONE
        try:
            yield from transport.deltas(self._call)
            ending = self._whole()
        except Exception as error:
            ending = self._failed(error)
            if not isinstance(error, CallError):
                raise
            raise error.failure.error from error
        finally:
            self._settle(ending)
        if ending is Ending.ZERO_OUTPUT:
            raise EmptyAnswer

    def _settle(self, ending: Ending) -> None:
        self._is_open = False
        pipeline.settle(self._call, ending)


class AsyncChatStream(_Stream):
    """`ChatStream` for event loops: ``async with achat_stream(request) as stream: async for text in stream: …``."""

    async def __aenter__(self) -> Self:
        try:
            await _finish(sync_to_async(pipeline.begin, thread_sensitive=False)(self._call))
        except asyncio.CancelledError:
            if self._call.hold is not None:
                await self._settle(Ending.CLIENT_GONE)
            raise
        self._is_open = self._call.result is None
        self._deltas = self._run() if self._is_open else _astored(self._call)
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
        texts = transport.adeltas(self._call)
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
        await _finish(sync_to_async(pipeline.settle, thread_sensitive=False)(self._call, ending))


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


def _stored(call: Call) -> Generator[str, None, None]:
    assert call.result
    if call.result.text:
        yield call.result.text


async def _astored(call: Call) -> AsyncGenerator[str, None]:
    for text in _stored(call):
        yield text
