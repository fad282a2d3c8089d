"""The database role that serves. Under a superuser or an owner, row-level security would quietly do nothing."""

import logging
from typing import Any

import psycopg
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

_ROLE = """
    SELECT r.rolname, r.rolsuper, r.rolbypassrls,
        (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' AND pg_has_role(r.oid, c.relowner, 'MEMBER'))
    FROM pg_roles r WHERE r.rolname = current_user
"""
_REMEDY = (
    "Row-level security does not hold for this role, so one tenant could read another's rows. Serve with a role that "
    "is NOSUPERUSER NOBYPASSRLS and owns no table; keep the owner for migrations only."
)

logger = logging.getLogger(__name__)


def role_problems(executor: Any) -> list[str]:
    """Return what makes the connected role unfit to serve; empty when it is fit. ``executor`` has ``execute``."""
    executor.execute(_ROLE)
    name, is_superuser, bypasses, owned = executor.fetchone()
    found = [(is_superuser, "is a superuser"), (bypasses, "has BYPASSRLS"), (owned, "owns tables")]
    return [f"The database role {name} {problem}." for unfit, problem in found if unfit]


def refuse_privileged_role() -> None:
    """Stop start-up when the configured role could see past the policies; raises ImproperlyConfigured.

    Uses a connection of its own, before any pool exists. A database that does not answer yet is no reason to
    refuse: requests get 503 until it does.
    """
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("host", "port", "user", "password", "dbname") if parameters.get(name)}
    try:
        with psycopg.connect(**wanted, connect_timeout=5) as own, own.cursor() as cursor:
            problems = role_problems(cursor)
    except psycopg.OperationalError:
        logger.warning("database.unreachable_at_start")
        return
    if problems:
        raise ImproperlyConfigured(" ".join([*problems, _REMEDY]))


@register(Tags.database, deploy=True)
def check_role(*, databases: list[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """``manage.py check --deploy --database default``."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        return [Error(problem, hint=_REMEDY, id="accounts_app.E001") for problem in role_problems(cursor)]
