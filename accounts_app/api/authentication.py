from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts_app.models import ApiKey, User


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer KEY``. The tenant middleware has checked the key already; this tells DRF."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        http_request: HttpRequest = request._request
        principal = http_request.principal  # type: ignore[attr-defined]
        return None if principal.api_key is None else (principal.user, principal.api_key)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
