from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.tenancy.context import current_organization_id
from billing_app import selectors
from billing_app.api.serializers import TransactionSerializer, UsageSerializer, WalletSerializer
from billing_app.filters import OLDEST, TransactionFilter, UsageFilter
from billing_app.models import Transaction, UsageRecord


class RecordPagination(KeysetPagination):
    """Newest first, or with ``?sort=oldest`` the other way."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """Turn the order around when asked to."""
        newest_first = tuple(super().get_ordering(request, queryset, view))
        if request.query_params.get("sort") != OLDEST:
            return newest_first
        return tuple(name.removeprefix("-") for name in newest_first)


class LedgerPagination(RecordPagination):
    """By entry number: one request may make several entries in the same moment."""

    ordering = ("-seq",)  # type: ignore[assignment]


class WalletView(APIView):
    """The organization's wallet."""

    @extend_schema(operation_id="billing_wallet", responses=WalletSerializer)
    def get(self, request: Request) -> Response:
        return Response(WalletSerializer(selectors.wallet_summary(current_organization_id())).data)


class _OwnRowsView(ListAPIView[Any]):
    """``queryset`` is for the OpenAPI document; the rows are those of the caller's organization."""

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return super().filter_queryset(self.own_rows(current_organization_id()))

    def own_rows(self, organization_id: UUID) -> QuerySet[Any]:
        raise NotImplementedError


class TransactionsView(_OwnRowsView):
    """The organization's ledger, newest entry first."""

    queryset = Transaction.objects.all()
    serializer_class = TransactionSerializer
    filterset_class = TransactionFilter
    pagination_class = LedgerPagination

    def own_rows(self, organization_id: UUID) -> QuerySet[Any]:
        return selectors.transactions(organization_id)


class UsageView(_OwnRowsView):
    """The organization's model calls, newest first."""

    queryset = UsageRecord.objects.all()
    serializer_class = UsageSerializer
    filterset_class = UsageFilter
    pagination_class = RecordPagination

    def own_rows(self, organization_id: UUID) -> QuerySet[Any]:
        return selectors.usage_records(organization_id)
