"""Budgets over the API: everyone of the organization reads them, owners and admins set them."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.tenancy.context import current_organization_id
from billing_app.api.idempotency import idempotent, key_parameter
from billing_app.models import BudgetAction, BudgetPeriod, BudgetScope
from billing_app.selectors.budgets import BudgetState, budget_state, budget_states
from billing_app.services.budgets import budget_change, budget_remove, budget_set

_AMOUNT: dict[str, Any] = {"max_digits": 20, "decimal_places": 10}


class BudgetChange(serializers.Serializer[None]):
    limit_usd = serializers.DecimalField(**_AMOUNT, min_value=Decimal(0), required=False)
    soft_percent = serializers.IntegerField(min_value=1, max_value=100, required=False)
    on_exceed = serializers.ChoiceField(choices=BudgetAction.choices, required=False)
    is_active = serializers.BooleanField(required=False)


class BudgetInput(BudgetChange):
    scope = serializers.ChoiceField(choices=BudgetScope.choices)
    subject_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The project, the member's user or the key; null for the organization.",
    )
    period = serializers.ChoiceField(choices=BudgetPeriod.choices, help_text="Days and months are UTC.")
    limit_usd = serializers.DecimalField(**_AMOUNT, min_value=Decimal(0))


class BudgetOutput(serializers.Serializer[BudgetState]):
    id = serializers.UUIDField(source="budget.id")
    scope = serializers.ChoiceField(source="budget.scope", choices=BudgetScope.choices)
    subject_id = serializers.UUIDField(source="budget.subject_id", allow_null=True)
    period = serializers.ChoiceField(source="budget.period", choices=BudgetPeriod.choices)
    limit_usd = serializers.DecimalField(**_AMOUNT, source="budget.limit_usd")
    soft_percent = serializers.IntegerField(source="budget.soft_percent")
    on_exceed = serializers.ChoiceField(source="budget.on_exceed", choices=BudgetAction.choices)
    is_active = serializers.BooleanField(source="budget.is_active")
    spent = serializers.DecimalField(**_AMOUNT, help_text="USD, in the present period.")
    held = serializers.DecimalField(**_AMOUNT, help_text="USD, for calls that are running.")
    left = serializers.DecimalField(**_AMOUNT)
    period_start = serializers.DateField()
    resets_on = serializers.DateField(allow_null=True)


class BudgetsOutput(serializers.Serializer[Any]):
    results = BudgetOutput(many=True)


class BudgetsView(APIView):
    @extend_schema(responses=BudgetsOutput, operation_id="billing_budgets_list")
    def get(self, request: Request) -> Response:
        """All budgets of the organization, the widest first; there are few, so all on one page."""
        return Response(BudgetsOutput({"results": budget_states(current_organization_id(), _today())}).data)

    @extend_schema(
        request=BudgetInput,
        responses={201: BudgetOutput},
        parameters=[key_parameter(required=False)],
        operation_id="billing_budgets_create",
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        """Set the one budget of a scope, subject and period; it holds from the next call on."""
        given = BudgetInput(data=request.data)
        given.is_valid(raise_exception=True)
        budget = budget_set(**given.validated_data)
        return Response(_state(budget.id), status=status.HTTP_201_CREATED)


class BudgetView(APIView):
    @extend_schema(responses=BudgetOutput, operation_id="billing_budgets_retrieve")
    def get(self, request: Request, budget_id: UUID) -> Response:
        """One budget, with what its present period has taken."""
        return Response(_state(budget_id))

    @extend_schema(request=BudgetChange, responses=BudgetOutput, operation_id="billing_budgets_update")
    def patch(self, request: Request, budget_id: UUID) -> Response:
        """Change the limit, the warning, what happens at the limit, or whether it is active."""
        given = BudgetChange(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        budget_change(budget_id=budget_id, **given.validated_data)
        return Response(_state(budget_id))

    @extend_schema(responses={204: None}, operation_id="billing_budgets_destroy")
    def delete(self, request: Request, budget_id: UUID) -> Response:
        """Remove a budget; what it has counted is forgotten, the ledger keeps every entry."""
        budget_remove(budget_id=budget_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _state(budget_id: UUID) -> dict[str, Any]:
    data: dict[str, Any] = BudgetOutput(budget_state(current_organization_id(), budget_id, _today())).data
    return data


def _today() -> date:
    return timezone.now().date()
