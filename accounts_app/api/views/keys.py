"""API keys over the API."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.api.pagination import KeysetPagination
from accounts_app.api.serializers import ApiKeyChange, ApiKeyInput, ApiKeyOutput, ApiKeyRotation, NewApiKeyOutput
from accounts_app.exceptions import NotFound, ScopeRefused
from accounts_app.http import known
from accounts_app.models import ApiKey, Scope
from accounts_app.selectors import api_keys_visible
from accounts_app.services.api_keys import api_key_change, api_key_create, api_key_revoke, api_key_rotate


class ApiKeysView(APIView):
    pagination_class = KeysetPagination

    @extend_schema(responses=ApiKeyOutput(many=True), operation_id="api_keys_list")
    def get(self, request: Request) -> Response:
        """List the keys that the caller may see, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(api_keys_visible(), request, view=self)
        return pages.get_paginated_response(ApiKeyOutput(page, many=True).data)

    @extend_schema(request=ApiKeyInput, responses={201: NewApiKeyOutput}, operation_id="api_keys_create")
    def post(self, request: Request) -> Response:
        """Make a key. The answer is the only place where the whole key is ever shown."""
        given = ApiKeyInput(data=request.data)
        given.is_valid(raise_exception=True)
        fields = given.validated_data
        fields.setdefault("scopes", [scope for scope in Scope.values if scope in _scopes(request)])
        _check_within(request, fields["scopes"])
        new_key = api_key_create(**fields)
        return Response(NewApiKeyOutput(new_key).data, status=status.HTTP_201_CREATED)


class ApiKeyView(APIView):
    @extend_schema(responses=ApiKeyOutput, operation_id="api_keys_retrieve")
    def get(self, request: Request, key_id: UUID) -> Response:
        """One key, without its secret."""
        return Response(ApiKeyOutput(_visible(key_id)).data)

    @extend_schema(request=ApiKeyChange, responses=ApiKeyOutput, operation_id="api_keys_change")
    def patch(self, request: Request, key_id: UUID) -> Response:
        """Change what a key is called and opens. What is not named stays."""
        api_key = _visible(key_id)
        given = ApiKeyChange(data=request.data)
        given.is_valid(raise_exception=True)
        fields = {name: getattr(api_key, name) for name in ("name", "expires_at", "project_id", "scopes", "models")}
        fields |= given.validated_data
        _check_within(request, {*api_key.scopes, *fields["scopes"]})
        changed = api_key_change(api_key_id=key_id, **fields)
        return Response(ApiKeyOutput(changed).data)

    @extend_schema(responses={204: None}, operation_id="api_keys_revoke")
    def delete(self, request: Request, key_id: UUID) -> Response:
        """Revoke a key for good. Revoking it again changes nothing."""
        api_key_revoke(api_key_id=key_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ApiKeyRotateView(APIView):
    @extend_schema(request=ApiKeyRotation, responses={201: NewApiKeyOutput}, operation_id="api_keys_rotate")
    def post(self, request: Request, key_id: UUID) -> Response:
        """Give a key a new secret. The old one goes on working for as long as you say."""
        _check_within(request, _visible(key_id).scopes)
        given = ApiKeyRotation(data=request.data)
        given.is_valid(raise_exception=True)
        new_key = api_key_rotate(api_key_id=key_id, grace=timedelta(hours=given.validated_data["grace_hours"]))
        return Response(NewApiKeyOutput(new_key).data, status=status.HTTP_201_CREATED)


def _scopes(request: Request) -> frozenset[str]:
    card = known(request).principal.card
    return frozenset(Scope.values) if card is None else card.scopes


def _check_within(request: Request, scopes: Iterable[str]) -> None:
    # A key makes and renews only keys that open no more than it does itself.
    if beyond := set(scopes) - _scopes(request):
        raise ScopeRefused(_("This API key has no scope “%(scope)s” to give.") % {"scope": min(beyond)})


def _visible(key_id: UUID) -> ApiKey:
    api_key = api_keys_visible().filter(pk=key_id).first()
    if api_key is None:
        raise NotFound
    return api_key
