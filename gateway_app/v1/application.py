"""The ASGI application of /v1: who is asked what, and every error in one shape."""

import time

from accounts_app.exceptions import DependencyDown
from accounts_app.services.trace import bind_trace
from config import tracing
from gateway_app.exceptions import CacheStale
from gateway_app.services import metrics
from gateway_app.v1.answers import Answer
from gateway_app.v1.calls import call_serve
from gateway_app.v1.errors import ApiError, refusal_of
from gateway_app.v1.models import model_show, models_list
from gateway_app.v1.requests import ClientGone, Receive, Request, Scope, Send
from gateway_app.wire import WIRES

PREFIX = "/v1/"
_MODELS = "models"
# What a caller wrote is no label of a metric.
_OTHER = "other"


def is_v1(scope: Scope) -> bool:
    """Whether this application answers ``scope``, rather than Django."""
    return bool(scope["type"] == "http" and scope["path"].startswith(PREFIX))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request. Nothing of what its caller or a provider does is raised to the server."""
    request = Request(scope, receive)
    answer = Answer(request, send)
    path = request.path.removeprefix(PREFIX)
    with bind_trace(request.trace_id):
        if tracing.ENDPOINT:
            is_answered = await _traced(request, answer, path)
        else:
            is_answered = await _answered(request, answer, path)
    if is_answered:
        _count(request, answer, path)


async def _traced(request: Request, answer: Answer, path: str) -> bool:
    parent = request.headers.get(b"traceparent", b"").decode("latin-1")
    with tracing.span("v1", trace_id=request.trace_id, parent=parent) as span:
        is_answered = await _answered(request, answer, path)
        if is_answered:
            span.set_attribute("http.route", f"{PREFIX}{_endpoint(path)}")
            span.set_attribute("http.response.status_code", answer.status)
    return is_answered


async def _answered(request: Request, answer: Answer, path: str) -> bool:
    """Answer, with an error if need be; False when nobody is there any more."""
    try:
        await _dispatch(request, answer, path)
    except ClientGone:
        return False
    except Exception as error:  # noqa: BLE001 - logged where it becomes an answer
        await _refuse(answer, DependencyDown() if isinstance(error, CacheStale) else error)
    return True


async def _dispatch(request: Request, answer: Answer, path: str) -> None:
    method = request.method
    if path == _MODELS or path.startswith(f"{_MODELS}/"):
        _require(method, "GET")
        if path == _MODELS:
            await models_list(request, answer)
        else:
            await model_show(request, answer, path.removeprefix(f"{_MODELS}/"))
    elif method == "POST" or path in WIRES:
        _require(method, "POST")
        await call_serve(request, answer, path)
    else:
        raise ApiError(404, f"There is no {method} /v1/{path} here.", code="unknown_url")


def _require(method: str, allowed: str) -> None:
    if method != allowed:
        raise ApiError(405, f"This address answers to {allowed} only.", code="method_not_allowed", allow=allowed)


async def _refuse(answer: Answer, error: Exception) -> None:
    refusal = refusal_of(error)
    if answer.is_begun:
        # What follows a head that is sent can only be more of the same: the connection's end tells that it broke.
        return
    await answer.whole(refusal.status, refusal.body, refusal.headers)


def _count(request: Request, answer: Answer, path: str) -> None:
    seconds = time.monotonic() - request.began
    metrics.call_counted(endpoint=_endpoint(path), status=answer.status, seconds=seconds, method=request.method)


def _endpoint(path: str) -> str:
    return path if path in WIRES else _MODELS if path.startswith(_MODELS) else _OTHER
