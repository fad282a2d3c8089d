"""What this room hands to others."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


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
class OrganizationChoice:
    """One organization that a person may work in."""

    id: UUID
    name: str
    role: str
    is_personal: bool
    is_active: bool
