"""Rate limits over the API: everyone of the organization reads them, owners and admins set them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from gateway_app.models import LimitScope, RateLimit
from gateway_app.services.limits import rate_limit_remove, rate_limit_set

_REQUESTS: dict[str, Any] = {"min_value": 1, "max_value": 2**31 - 1, "allow_null": True}
_TOKENS: dict[str, Any] = {"min_value": 1, "max_value": 2**63 - 1, "allow_null": True}


class RateLimitChange(serializers.Serializer[None]):
    requests_per_minute = serializers.IntegerField(**_REQUESTS, required=False, help_text="Null: not limited.")
    tokens_per_minute = serializers.IntegerField(**_TOKENS, required=False, help_text="Null: not limited.")


class RateLimitInput(RateLimitChange):
    scope = serializers.ChoiceField(choices=LimitScope.choices)
    subject_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The project, the member's user or the key; null for the organization.",
    )


class RateLimitOutput(serializers.ModelSerializer[RateLimit]):
    class Meta:
        model = RateLimit
        fields = ["id", "scope", "subject_id", "requests_per_minute", "tokens_per_minute", "created_at", "updated_at"]
        read_only_fields = fields


class RateLimitsOutput(serializers.Serializer[Any]):
    results = RateLimitOutput(many=True)


class RateLimitsView(APIView):
    @extend_schema(responses=RateLimitsOutput, operation_id="rate_limits_list")
    def get(self, request: Request) -> Response:
        """All limits of the organization; there are few, so all on one page."""
        rows = RateLimit.objects.filter(organization_id=current_organization_id()).order_by("scope", "created_at")
        return Response(RateLimitsOutput({"results": rows}).data)

    @extend_schema(request=RateLimitInput, responses={201: RateLimitOutput}, operation_id="rate_limits_create")
    def post(self, request: Request) -> Response:
        """Set the one limit of the organization, or of a project, member or key, in place of an earlier one.

        Sent twice, it is set once.
        """
        given = RateLimitInput(data=request.data)
        given.is_valid(raise_exception=True)
        rule = rate_limit_set(**given.validated_data)
        return Response(RateLimitOutput(_limit(rule.id)).data, status=status.HTTP_201_CREATED)


class RateLimitView(APIView):
    @extend_schema(responses=RateLimitOutput, operation_id="rate_limits_retrieve")
    def get(self, request: Request, limit_id: UUID) -> Response:
        """One limit."""
        return Response(RateLimitOutput(_limit(limit_id)).data)

    @extend_schema(request=RateLimitChange, responses=RateLimitOutput, operation_id="rate_limits_update")
    def patch(self, request: Request, limit_id: UUID) -> Response:
        """Change the figures; what is left out stays."""
        given = RateLimitChange(data=request.data)
        given.is_valid(raise_exception=True)
        limit = _limit(limit_id)
        figures = {"requests_per_minute": limit.requests_per_minute, "tokens_per_minute": limit.tokens_per_minute}
        rate_limit_set(scope=limit.scope, subject_id=limit.subject_id, **(figures | given.validated_data))
        return Response(RateLimitOutput(_limit(limit_id)).data)

    @extend_schema(responses={204: None}, operation_id="rate_limits_destroy")
    def delete(self, request: Request, limit_id: UUID) -> Response:
        """Remove a limit."""
        rate_limit_remove(rate_limit_id=limit_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _limit(limit_id: UUID) -> RateLimit:
    limit = RateLimit.objects.filter(organization_id=current_organization_id(), pk=limit_id).first()
    if limit is None:
        raise NotFound
    return limit
