"""Downloads of the lists, in the filters of their addresses."""

from typing import cast

from django.http import HttpRequest, HttpResponseBase

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import OrganizationMixin
from billing_app import selectors
from billing_app.downloads import download
from billing_app.filters import RecordFilter, TransactionFilter, UsageFilter
from billing_app.services.exports import FORMATS, Export, Format, transactions_export, usage_export


class ExportView(OrganizationMixin):
    """Stream what the list shows, of all pages."""

    def get(self, request: HttpRequest, format: str) -> HttpResponseBase:  # noqa: A002 - the address's word
        found = self.found()
        if format not in FORMATS or not found.form.is_valid():
            raise NotFound
        kind = cast(Format, format)
        return download(request, export=self.export(found), format=kind, filters=found.chosen(), tenant=self.tenant)

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
