"""What this room hands to others."""

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network
from typing import Literal
from uuid import UUID

from accounts_app.tenancy.context import Tenant


@dataclass(frozen=True)
class NewApiKey:
    """A key just made. ``secret`` is the whole key; it is shown once and stored nowhere."""

    id: UUID
    name: str
    prefix: str
    secret: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class SentInvitation:
    """An invitation just sent. ``link`` holds the token; it is in the mail, shown once, and stored nowhere."""

    id: UUID
    email: str
    role: str
    expires_at: datetime
    link: str


@dataclass(frozen=True)
class InvitationOffer:
    """What the holder of an invitation's link is offered. ``state`` is open, accepted, revoked or expired."""

    organization_id: UUID
    organization_name: str
    email: str
    role: str
    role_name: str
    inviter: str
    state: str
    expires_at: datetime


@dataclass(frozen=True)
class TokenPair:
    """What a person's program signs in with: seconds until each stops."""

    access: str
    refresh: str
    access_expires_in: int
    refresh_expires_in: int
    organization_id: UUID


@dataclass(frozen=True)
class OrganizationChoice:
    """One organization that a person may work in."""

    id: UUID
    name: str
    role: str
    is_personal: bool
    is_active: bool


@dataclass(frozen=True)
class IpRule:
    """One network that may or may not enter, at its level: all levels of a caller must admit an address."""

    level: Literal["operator", "organization", "project", "key"]
    action: Literal["allow", "deny"]
    network: IPv4Network | IPv6Network


@dataclass(frozen=True)
class KeyCard:
    """Who a key is and what it opens, as of two revisions; whoever keeps one compares them before a write that matters.

    ``models`` are patterns as of a shell, none for every model. ``expires_at`` is when this very secret stops: the
    key's expiry, or the end of the old secret's grace after a rotation.
    """

    organization_id: UUID
    user_id: UUID
    role: str
    api_key_id: UUID
    api_key_name: str
    project_id: UUID | None
    log_prompts: bool
    scopes: frozenset[str]
    models: tuple[str, ...]
    ip_rules: tuple[IpRule, ...]
    expires_at: datetime | None
    policy_revision: int
    ip_revision: int

    @property
    def tenant(self) -> Tenant:
        """The frame in which this caller reads and writes."""
        return Tenant(organization_id=self.organization_id, user_id=self.user_id, role=self.role)

    def allows_model(self, key: str) -> bool:
        """Whether the catalogue's model ``key`` may be called."""
        return not self.models or any(fnmatchcase(key, pattern) for pattern in self.models)
