"""Staff in Django's admin: above all tenants, by name, and on record."""

from django.http import HttpRequest

from accounts_app.services.audit import audit_record
from accounts_app.services.principals import Principal
from accounts_app.tenancy.context import Tenant

_READS = ("GET", "HEAD", "OPTIONS", "TRACE")


def admin_tenant(request: HttpRequest, principal: Principal) -> Tenant | None:
    """Return the operator context of a staff member inside the admin, None for every other request."""
    match = request.resolver_match
    is_person = principal.api_key is None and principal.api_session_id is None
    staff = is_person and principal.user.is_active and principal.user.is_staff
    if match is None or "admin" not in match.app_names or not staff:
        return None
    return Tenant(user_id=principal.tenant.user_id, operator=f"admin:{principal.user.get_username()}"[:80])


def operator_request_record(request: HttpRequest) -> None:
    """Write a changing admin request into the audit log, in the transaction of the change itself."""
    match = request.resolver_match
    if match is None or request.method in _READS:
        return
    audit_record(
        action="admin.request",
        target_type=match.view_name[:60],
        target_id=match.kwargs.get("object_id", ""),
        data={"method": request.method, "path": request.path},
    )
