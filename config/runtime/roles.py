"""Database roles: one owns the tables and migrates, another runs the applications and cannot bypass policies."""

from dataclasses import dataclass
from hashlib import sha256
from hmac import HMAC
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql

from config.runtime.errors import DatabaseRefusedError

OWNER = "deepspace_owner"
APP = "deepspace_app"

Connection = psycopg.Connection[tuple[Any, ...]]

GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {}",
)


@dataclass(frozen=True)
class DatabaseAccess:
    """The URL that applications use, and the one that migrates (the same where one role does both)."""

    url: str
    owner_url: str


@dataclass(frozen=True)
class RolePowers:
    """What the connected role may do beyond its tables."""

    name: str
    superuser: bool
    bypasses_policies: bool
    creates_roles: bool

    @property
    def is_safe(self) -> bool:
        """Whether row-level security holds for it."""
        return not (self.superuser or self.bypasses_policies)


def role_powers(connection: Connection) -> RolePowers:
    """Return what the connected role may do."""
    row = connection.execute(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row
    return RolePowers(*row)


def external_access(url: str, owner_url: str, fallback_secret: str) -> DatabaseAccess:
    """Decide how a database that was given is used; raises DatabaseRefusedError.

    A role that may create roles gets a runtime role made beside it; any other role is used as it is, once it is
    known that it cannot bypass row-level security. ``fallback_secret`` replaces a password that the URL lacks.
    """
    with _connect("DATABASE_URL", url) as connection:
        powers = role_powers(connection)
        if owner_url or not (powers.superuser or powers.creates_roles):
            require_safe(powers)
            access = DatabaseAccess(url=url, owner_url=owner_url or url)
        else:
            access = DatabaseAccess(url=_runtime_url(connection, url, fallback_secret), owner_url=url)
    if access.url != access.owner_url:
        with _connect("DATABASE_OWNER_URL", access.owner_url) as owner:
            grant_runtime(owner, role=unquote(urlsplit(access.url).username or ""))
    return access


def require_safe(powers: RolePowers) -> None:
    """Raise DatabaseRefusedError for a role on which row-level security has no hold."""
    if not powers.is_safe:
        what = "is a superuser" if powers.superuser else "has BYPASSRLS"
        raise DatabaseRefusedError(
            f"DATABASE_URL: the role {powers.name} {what}, so the walls between organizations would not hold."
            f" Give a role with NOSUPERUSER and NOBYPASSRLS; its tables' owner goes into DATABASE_OWNER_URL."
        )


def ensure_role(connection: Connection, role: str, password: str, *, createdb: bool = False) -> None:
    """Create or correct a role that can log in, cannot bypass policies, and makes databases only if asked to."""
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    attributes = f"LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE {'CREATEDB' if createdb else 'NOCREATEDB'}"
    connection.execute(
        sql.SQL("{} ROLE {} WITH {} PASSWORD {}").format(
            sql.SQL("ALTER" if known else "CREATE"), sql.Identifier(role), sql.SQL(attributes), sql.Literal(password)
        )
    )


def grant_runtime(connection: Connection, role: str = APP) -> None:
    """Let the runtime role use what the owner made and will make, and nothing more. Run it as the owner."""
    for statement in GRANTS:
        connection.execute(sql.SQL(statement).format(sql.Identifier(role)))


def _runtime_url(connection: Connection, url: str, fallback_secret: str) -> str:
    parts = urlsplit(url)
    # Derived, not drawn: every machine that is given the same URL comes to the same password.
    password = HMAC((unquote(parts.password or "") or fallback_secret).encode(), APP.encode(), sha256).hexdigest()
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP]).fetchone()
    statement = "ALTER ROLE {} WITH LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(APP), sql.Literal(password)))
    address = parts.netloc.rpartition("@")[2]
    runtime = parts._replace(netloc=f"{quote(APP)}:{password}@{address}").geturl()
    with _connect("DATABASE_URL", runtime) as check:
        require_safe(role_powers(check))
    return runtime


def _connect(name: str, url: str) -> Connection:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.Error as error:
        raise DatabaseRefusedError(f"{name}: the database does not let us in. {str(error).strip()}") from error
