"""Tokens for people's programs. Nobody is known here yet: these addresses are open, and attempts are counted."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.serializers import RefreshInput, SignInInput, TokenPairOutput
from accounts_app.http import known
from accounts_app.services.sign_in import sign_in
from accounts_app.services.tokens import tokens_issue, tokens_refresh, tokens_revoke


class OpenView(APIView):
    """No session counts here, so no form of another site can use one."""

    authentication_classes = []
    permission_classes = [AllowAny]


class TokenView(OpenView):
    @extend_schema(request=SignInInput, responses={201: TokenPairOutput}, operation_id="auth_token", auth=[])
    def post(self, request: Request) -> Response:
        """Exchange an address and a password (and a one-time code) for an access and a refresh token."""
        given = SignInInput(data=request.data)
        given.is_valid(raise_exception=True)
        wanted = given.validated_data
        user = sign_in(known(request), email=wanted["email"], password=wanted["password"], code=wanted["code"])
        pair = tokens_issue(user=user, organization_id=wanted["organization"])
        return Response(TokenPairOutput(pair).data, status=status.HTTP_201_CREATED)


class TokenRefreshView(OpenView):
    @extend_schema(request=RefreshInput, responses={201: TokenPairOutput}, operation_id="auth_token_refresh", auth=[])
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair. One that comes a second time ends the sign-in it belongs to."""
        pair = tokens_refresh(refresh=_refresh(request))
        return Response(TokenPairOutput(pair).data, status=status.HTTP_201_CREATED)


class TokenRevokeView(OpenView):
    @extend_schema(request=RefreshInput, responses={204: None}, operation_id="auth_token_revoke", auth=[])
    def post(self, request: Request) -> Response:
        """End a sign-in: neither of its tokens works any more. A token that is none changes nothing."""
        tokens_revoke(refresh=_refresh(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _refresh(request: Request) -> str:
    given = RefreshInput(data=request.data)
    given.is_valid(raise_exception=True)
    refresh: str = given.validated_data["refresh"]
    return refresh
