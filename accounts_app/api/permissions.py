from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts_app.http import known
from accounts_app.services.principals import can_manage, can_write


class MemberPermission(BasePermission):
    """Signed in, with an active organization; viewers only read."""

    def has_permission(self, request: Request, view: Any) -> bool:
        tenant = known(request).tenant
        if tenant.organization_id is None:
            return False
        return request.method in SAFE_METHODS or can_write(tenant)


class ManagerPermission(BasePermission):
    """Owners and admins of the active organization."""

    def has_permission(self, request: Request, view: Any) -> bool:
        tenant = known(request).tenant
        return tenant.organization_id is not None and can_manage(tenant)
