from accounts_app.models.api_key import ApiKey, Scope
from accounts_app.models.api_session import ApiSession
from accounts_app.models.audit_log import AuditLog
from accounts_app.models.invitation import Invitation
from accounts_app.models.ip_rule import IpAction, IpRule
from accounts_app.models.organization import Membership, Organization, Role
from accounts_app.models.project import Project
from accounts_app.models.revision import Revision
from accounts_app.models.user import User

__all__ = [
    "ApiKey",
    "ApiSession",
    "AuditLog",
    "Invitation",
    "IpAction",
    "IpRule",
    "Membership",
    "Organization",
    "Project",
    "Revision",
    "Role",
    "Scope",
    "User",
]
