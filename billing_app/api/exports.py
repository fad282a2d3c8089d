"""The lists as files, all of their pages, for programs."""

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from django_filters.utils import translate_validation
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from accounts_app.exceptions import InvalidInput
from accounts_app.http import known
from accounts_app.tenancy.context import current_organization_id
from billing_app import selectors
from billing_app.api.serializers import TransactionSerializer
from billing_app.downloads import download
from billing_app.filters import RecordFilter, TransactionFilter, UsageFilter
from billing_app.models import Transaction, UsageRecord
from billing_app.services.exports import (
    FORMATS,
    USAGE_COLUMNS,
    Export,
    Format,
    transactions_export,
    usage_export,
)

Get = TypeVar("Get", bound=Callable[..., HttpResponseBase])


class UsageRow(serializers.ModelSerializer[UsageRecord]):
    class Meta:
        model = UsageRecord
        fields = USAGE_COLUMNS
        read_only_fields = fields


def _described(operation_id: str, row: type[serializers.ModelSerializer[Any]]) -> Callable[[Get], Get]:
    """Return what the OpenAPI document says of an export of such rows."""
    described: Callable[[Get], Get] = extend_schema(
        operation_id=operation_id,
        parameters=[
            OpenApiParameter(
                "format", OpenApiTypes.STR, enum=[*FORMATS], default="csv", description="The file's format."
            ),
            OpenApiParameter("sort", exclude=True),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/json"): row(many=True)},
    )
    return described


class _ExportView(GenericAPIView[Any]):
    """``queryset`` is for the OpenAPI document; the rows are those of the caller's organization."""

    pagination_class = None
    filterset_class: type[RecordFilter]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """``?format=`` is the file's; errors are JSON whatever was asked for."""
        return JSONRenderer(), JSONRenderer.media_type

    def file(self, request: Request) -> HttpResponseBase:
        """Stream what the filters leave; raises InvalidInput and ValidationError for what is not understood."""
        kind = request.query_params.get("format", "csv")
        if kind not in FORMATS:
            raise InvalidInput.for_field("format", _("Choose csv or json."))
        found = self.filterset_class(request.query_params, self.own_rows(current_organization_id()))
        if not found.is_valid():
            raise translate_validation(found.errors)
        return download(
            request._request,  # noqa: SLF001 - Django's own, which says whether it came by ASGI
            export=self.export(found.qs),
            format=cast(Format, kind),
            filters=found.chosen(),
            tenant=known(request).tenant,
        )

    def own_rows(self, organization_id: UUID) -> QuerySet[Any]:
        raise NotImplementedError

    def export(self, rows: QuerySet[Any]) -> Export:
        raise NotImplementedError


class TransactionsExportView(_ExportView):
    queryset = Transaction.objects.all()
    serializer_class = TransactionSerializer
    filterset_class = TransactionFilter

    @_described("billing_transactions_export", TransactionSerializer)
    def get(self, request: Request) -> HttpResponseBase:
        """The ledger as one file, newest entry first: all that the filters leave, streamed."""
        return self.file(request)

    def own_rows(self, organization_id: UUID) -> QuerySet[Any]:
        return selectors.transactions(organization_id)

    def export(self, rows: QuerySet[Any]) -> Export:
        return transactions_export(rows)


class UsageExportView(_ExportView):
    queryset = UsageRecord.objects.all()
    serializer_class = UsageRow
    filterset_class = UsageFilter

    @_described("billing_usage_export", UsageRow)
    def get(self, request: Request) -> HttpResponseBase:
        """The model calls as one file, newest first: all that the filters leave, streamed."""
        return self.file(request)

    def own_rows(self, organization_id: UUID) -> QuerySet[Any]:
        return selectors.usage_records(organization_id)

    def export(self, rows: QuerySet[Any]) -> Export:
        return usage_export(rows)
