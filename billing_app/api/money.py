"""Top-ups and refunds over the API. Both need an Idempotency-Key: sent twice, they pay once."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing_app.api.idempotency import idempotent, key_of, key_parameter
from billing_app.api.serializers import WalletSerializer
from billing_app.services import topups
from billing_app.services.amounts import PLACES

_AMOUNT: dict[str, Any] = {"max_digits": 20, "decimal_places": 10}


class TopupInput(serializers.Serializer[None]):
    amount = serializers.DecimalField(**_AMOUNT, min_value=topups.LEAST, max_value=topups.MOST, help_text="USD.")
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class RefundInput(serializers.Serializer[None]):
    hold_id = serializers.UUIDField(help_text="The captured hold; transactions name it.")
    amount = serializers.DecimalField(**_AMOUNT, min_value=PLACES, help_text="USD.")
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class RefundOutput(serializers.Serializer[Any]):
    hold_id = serializers.UUIDField()
    refunded = serializers.DecimalField(**_AMOUNT)


class TopupsView(APIView):
    @extend_schema(
        request=TopupInput,
        responses={201: WalletSerializer},
        parameters=[key_parameter(required=True)],
        operation_id="billing_topups_create",
    )
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        """Put money into the organization's wallet.

        For owners and admins, where the platform lets them (WALLET_SELF_TOPUP); otherwise 403 `topup_disabled`.
        """
        topups.topup_allowed()
        given = TopupInput(data=request.data)
        given.is_valid(raise_exception=True)
        wallet = topups.topup_self(key=f"{topups.API}{key_of(request)}", **given.validated_data)
        return Response(WalletSerializer(wallet).data, status=status.HTTP_201_CREATED)


class RefundsView(APIView):
    @extend_schema(
        request=RefundInput,
        responses={201: RefundOutput},
        parameters=[key_parameter(required=True)],
        operation_id="billing_refunds_create",
    )
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        """Pay part or all of a captured hold back to its wallet.

        For operators, who reach every organization; for owners and admins in their own, where WALLET_SELF_TOPUP is on.
        """
        is_operator = request.user.is_staff and request.user.has_perm("billing_app.change_wallet")
        if not is_operator:
            topups.topup_allowed()
        given = RefundInput(data=request.data)
        given.is_valid(raise_exception=True)
        key = f"{topups.API}{key_of(request)}"
        refunded = topups.refund_asked(key=key, is_operator=is_operator, **given.validated_data)
        answer = {"hold_id": given.validated_data["hold_id"], "refunded": refunded}
        return Response(RefundOutput(answer).data, status=status.HTTP_201_CREATED)
