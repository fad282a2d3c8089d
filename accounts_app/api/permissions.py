from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts_app.services.principals import can_write


class MemberPermission(BasePermission):
    """Signed in, with an active organization; viewers only read."""

    def has_permission(self, request: Request, view: Any) -> bool:
        tenant = request.tenant  # type: ignore[attr-defined]
        if tenant.organization_id is None:
            return False
        return request.method in SAFE_METHODS or can_write(tenant)
