"""Who may open a page. Every room's views begin with one of these."""

from typing import Any

from django.contrib.auth.mixins import AccessMixin
from django.http import HttpRequest, HttpResponseBase
from django.views import View

from accounts_app.exceptions import PermissionRefused, TenantRequired
from accounts_app.http import known
from accounts_app.services.principals import can_manage, can_write
from accounts_app.tenancy.context import Tenant


class OrganizationMixin(AccessMixin, View):
    """Signed in, with an active organization. Anonymous people go to the sign-in page; viewers may only look."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        if self.tenant.organization_id is None:
            raise TenantRequired
        if not self.may_enter():
            raise PermissionRefused
        return super().dispatch(request, *args, **kwargs)

    @property
    def tenant(self) -> Tenant:
        return known(self.request).tenant

    def may_enter(self) -> bool:
        """Whether the caller's role allows this request."""
        return self.request.method in ("GET", "HEAD", "OPTIONS") or can_write(self.tenant)


class ManagerMixin(OrganizationMixin):
    """Owners and admins only."""

    def may_enter(self) -> bool:
        return can_manage(self.tenant)
