from accounts_app.models.api_key import ApiKey
from accounts_app.models.audit_log import AuditLog
from accounts_app.models.organization import Membership, Organization, Role
from accounts_app.models.user import User

__all__ = ["ApiKey", "AuditLog", "Membership", "Organization", "Role", "User"]
