"""Idempotency-Key over HTTP: a decorator for the POST methods of API views."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.exceptions import InvalidInput
from billing_app.services.idempotency import MAX_KEY, Answer, answer_store, answer_stored, request_hash

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

Method = Callable[..., Response]


def key_parameter(*, required: bool) -> OpenApiParameter:
    """Return the header for the OpenAPI document."""
    return OpenApiParameter(
        HEADER,
        {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
        OpenApiParameter.HEADER,
        required=required,
        description=(
            "Names this request. Sent again within 24 hours with the same body, it is answered with the stored answer "
            f"and `{REPLAYED}: true`, and nothing is done twice; with another body it is refused (409)."
        ),
    )


def idempotent(*, required: bool) -> Callable[[Method], Callable[..., HttpResponseBase]]:
    """Make a POST method carry out a request with an Idempotency-Key once, within the view's one transaction.

    Errors undo the transaction and store nothing. ``required``: for deeds that move money, which must never be repeated
    by accident.
    """

    def decorate(method: Method) -> Callable[..., HttpResponseBase]:
        @wraps(method)
        def post(view: APIView, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            key = request.headers.get(HEADER)
            if key is None:
                if required:
                    raise InvalidInput.for_field(HEADER, _("Requests that move money need an Idempotency-Key header."))
                return method(view, request, *args, **kwargs)
            asked = request_hash(method="POST", path=request.path, body=request.data)
            stored = answer_stored(key=key, request_hash=asked)
            if stored is not None:
                return _again(stored)
            response = _rendered(view, request, method(view, request, *args, **kwargs))
            answer = Answer(response.status_code, response["Content-Type"], bytes(response.content))
            answer_store(key=key, request_hash=asked, answer=answer)
            return response

        return post

    return decorate


def key_of(request: Request) -> str:
    """Return the request's key; empty when it has none."""
    return str(request.headers.get(HEADER, ""))


def _rendered(view: APIView, request: Request, response: Response) -> Response:
    # As the view itself does when it finishes; the bytes are needed now.
    response.accepted_renderer = request.accepted_renderer
    response.accepted_media_type = request.accepted_media_type
    response.renderer_context = view.get_renderer_context()  # type: ignore[attr-defined]
    response.render()
    return response


def _again(stored: Answer) -> HttpResponse:
    response = HttpResponse(stored.body, status=stored.status, content_type=stored.content_type)
    response[REPLAYED] = "true"
    return response
