"""The database role that serves. Under a superuser, row-level security would quietly do nothing.

An owner is held by it, because it is forced; it could lift it, though, so a role of its own is the better choice.
"""

import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from celery.signals import worker_init
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
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
    "is NOSUPERUSER NOBYPASSRLS, and give the tables' owner as DATABASE_OWNER_URL."
)
_ADVICE = "It could lift the policies. Serve with a role that owns nothing, and give this one as DATABASE_OWNER_URL."

logger = logging.getLogger(__name__)


def role_problems(executor: Any) -> list[str]:
    """Return what makes the connected role unfit to serve; empty when it is fit. ``executor`` has ``execute``."""
    executor.execute(_ROLE)
    name, is_superuser, bypasses, _owned = executor.fetchone()
    found = [(is_superuser, "is a superuser"), (bypasses, "has BYPASSRLS")]
    return [f"The database role {name} {problem}." for unfit, problem in found if unfit]


def role_owns_tables(executor: Any) -> bool:
    """Whether the connected role owns tables, or belongs to a role that does."""
    executor.execute(_ROLE)
    return bool(executor.fetchone()[3])


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
    except psycopg.OperationalError as error:
        logger.warning("database.unreachable_at_start", extra={"reason": str(error)})
        return
    if problems:
        raise ImproperlyConfigured(" ".join([*problems, _REMEDY]))


@register(Tags.database, deploy=True)
def check_role(
    app_configs: Any = None, *, databases: Sequence[str] | None = None, **_options: Any
) -> list[CheckMessage]:
    """``manage.py check --deploy --database default``."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        found: list[CheckMessage] = [
            Error(each, hint=_REMEDY, id="accounts_app.E001") for each in role_problems(cursor)
        ]
        if role_owns_tables(cursor):
            found.append(CheckWarning("The database role owns tables.", hint=_ADVICE, id="accounts_app.W001"))
    return found


@worker_init.connect
def refuse_worker(**_signal: Any) -> None:
    """Keep a worker from starting; Celery would only log any other exception and go on."""
    try:
        refuse_privileged_role()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error
