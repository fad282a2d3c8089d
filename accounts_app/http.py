"""Requests as this system's views get them: the middleware has said who calls."""

from typing import cast

from django.http import HttpRequest
from rest_framework.request import Request

from accounts_app.exceptions import NotAuthenticated
from accounts_app.models import User
from accounts_app.services.principals import Principal
from accounts_app.tenancy.context import Tenant


class TenantRequest(HttpRequest):
    """A request behind `TenantMiddleware`. For the type checker: the server makes plain ones."""

    principal: Principal
    tenant: Tenant
    in_tenant_transaction: bool


class ApiRequest(Request):
    """The same as REST views get it: what it does not know itself it asks the request inside."""

    principal: Principal
    tenant: Tenant


def known(request: HttpRequest | Request) -> TenantRequest:
    """Return ``request`` as what it is behind the middleware."""
    return cast(TenantRequest, request)


def person_of(request: HttpRequest | Request) -> User:
    """Return who is signed in; raises NotAuthenticated when nobody is."""
    user = known(request).principal.user
    if not isinstance(user, User):
        raise NotAuthenticated
    return user
