from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from accounts_app.exceptions import CsrfFailed
from accounts_app.http import known
from accounts_app.models import ApiKey


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """``Authorization: Bearer KEY``. The tenant middleware has checked the key already; this tells DRF."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser | AnonymousUser, ApiKey] | None:
        principal = known(request).principal
        return None if principal.api_key is None else (principal.user, principal.api_key)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class TokenAuthentication(authentication.BaseAuthentication):
    """``Authorization: Bearer ACCESS_TOKEN``. Checked by the tenant middleware as well."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser | AnonymousUser, UUID] | None:
        principal = known(request).principal
        return None if principal.api_session_id is None else (principal.user, principal.api_session_id)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SessionAuthentication(authentication.SessionAuthentication):
    """The page's own calls. A missing CSRF token is named as such, not as a missing permission."""

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise CsrfFailed from error
