import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from asgiref.sync import SyncToAsync
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET

from accounts_app.errors import error_response
from accounts_app.exceptions import DeepSpaceError, NotAuthenticated
from accounts_app.http import known
from gateway_app.services.streams import Frame, StreamReader, stream_authorise
from gateway_app.services.streams.position import position_of


@require_GET
async def stream_events(request: HttpRequest, stream_id: UUID) -> HttpResponseBase:
    """``GET /api/streams/<id>/events``: the stream as server-sent events, ``id:`` being the seq.

    Goes on after the ``Last-Event-ID`` header or ``?after=``. A reader that has the ``end`` event already gets
    204, which tells an EventSource to stop.
    """
    tenant = known(request).tenant
    try:
        if tenant.organization_id is None:
            raise NotAuthenticated
        after = position_of(request.headers.get("Last-Event-ID", "") or request.GET.get("after", ""))
        # Also gives the request's database connection back, which the response would hold until its end.
        row = await stream_authorise(tenant, stream_id)
    except DeepSpaceError as error:
        return error_response(request, error)
    if row.is_closed and after >= row.last_seq:
        return HttpResponse(status=204)
    response = StreamingHttpResponse(_lines(StreamReader(tenant, stream_id, after)), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _lines(reader: StreamReader) -> AsyncIterator[str]:
    _give_thread_back()
    # Something at once, so that proxies and clients see the headers.
    yield ": open\n\n"
    async with aclosing(reader.frames()) as frames:
        async for frame in frames:
            yield _line(frame)


def _line(frame: Frame) -> str:
    if frame["type"] == "ping":
        return ": keep-alive\n\n"
    number = "" if frame["seq"] is None else f"id: {frame['seq']}\n"
    return f"{number}data: {json.dumps(frame, separators=(',', ':'))}\n\n"


def _give_thread_back() -> None:
    """End the thread in which Django ran the request's middleware: it would idle for as long as the reader stays.

    Whatever has to run in a thread once the reader has left is given a new one.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.pop(context, None) if context else None
    if executor is not None:
        executor.shutdown(wait=False)
