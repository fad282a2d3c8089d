from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts_app.http import known
from accounts_app.services.principals import can_manage


class ManagerPermission(BasePermission):
    """Owners and admins: what they publish is what everyone's work follows."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return can_manage(known(request).tenant)
