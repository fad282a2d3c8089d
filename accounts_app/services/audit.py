"""The audit log: written in the transaction of the deed it records."""

from typing import Any
from uuid import UUID

from accounts_app.models import AuditLog
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import tenant_or_nobody


def audit_record(
    *, action: str, target_type: str = "", target_id: UUID | str = "", data: dict[str, Any] | None = None
) -> None:
    """Append one row for the bound tenant and trace. ``action`` is ``noun.verb``; ``data`` holds no secrets."""
    tenant = tenant_or_nobody()
    AuditLog.objects.create(
        organization_id=tenant.organization_id,
        user_id=tenant.user_id,
        operator=tenant.operator,
        action=action,
        target_type=target_type,
        target_id=str(target_id),
        data=data or {},
        trace_id=current_trace_id(),
    )
