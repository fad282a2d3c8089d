"""A part of the books as a file that is sent while it is read: the same for pages and for the API."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from accounts_app.tenancy.context import Tenant
from billing_app.services.exports import FORMATS, Export, Format, export_begin, export_text


def download(
    request: HttpRequest,
    *,
    export: Export,
    format: Format,  # noqa: A002 - as in addresses
    filters: dict[str, str],
    tenant: Tenant,
) -> StreamingHttpResponse:
    """Return the file, and note in the audit log who took it. Not within a transaction: a download may take long."""
    with transaction.atomic():
        export_begin(export=export, format=format, filters=filters)
    text = export_text(export=export, format=format, tenant=tenant)
    body = _asynchronous(text) if isinstance(request, ASGIRequest) else text
    response = StreamingHttpResponse(body, content_type=FORMATS[format])
    name = f"{export.name}-{timezone.now():%Y-%m-%d}.{format}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


async def _asynchronous(pieces: Iterator[str]) -> AsyncIterator[str]:
    # Django would read a plain iterator to its end before it sends the first byte.
    following = sync_to_async(lambda: next(pieces, None))
    while (piece := await following()) is not None:
        yield piece
