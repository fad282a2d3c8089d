"""Downloads of the lists, in the filters of their addresses."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import OrganizationMixin
from billing_app import selectors
from billing_app.filters import RecordFilter, TransactionFilter, UsageFilter
from billing_app.services.exports import (
    FORMATS,
    Export,
    Format,
    export_begin,
    export_text,
    transactions_export,
    usage_export,
)


class ExportView(OrganizationMixin):
    """Stream what the list shows, of all pages. Not in one transaction: a download may take long."""

    def get(self, request: HttpRequest, format: str) -> HttpResponseBase:  # noqa: A002 - the address's word
        found = self.found()
        if format not in FORMATS or not found.form.is_valid():
            raise NotFound
        kind, export = cast(Format, format), self.export(found)
        with transaction.atomic():
            export_begin(export=export, format=kind, filters=found.chosen())
        text = export_text(export=export, format=kind, tenant=self.tenant)
        body = _asynchronous(text) if isinstance(request, ASGIRequest) else text
        name = f"{export.name}-{timezone.now():%Y-%m-%d}.{format}"
        response = StreamingHttpResponse(body, content_type=FORMATS[format])
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "no-store"
        return response

    def found(self) -> RecordFilter:
        raise NotImplementedError

    def export(self, found: RecordFilter) -> Export:
        raise NotImplementedError


class TransactionsExportView(ExportView):
    def found(self) -> RecordFilter:
        return TransactionFilter(self.request.GET, selectors.transactions(current_organization_id()))

    def export(self, found: RecordFilter) -> Export:
        return transactions_export(found.qs)


class UsageExportView(ExportView):
    def found(self) -> RecordFilter:
        return UsageFilter(self.request.GET, selectors.usage_records(current_organization_id()))

    def export(self, found: RecordFilter) -> Export:
        return usage_export(found.qs)


async def _asynchronous(pieces: Iterator[str]) -> AsyncIterator[str]:
    # Django would read a plain iterator to its end before it sends the first byte.
    following = sync_to_async(lambda: next(pieces, None))
    while (piece := await following()) is not None:
        yield piece
