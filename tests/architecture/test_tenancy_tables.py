"""Every table with an organization is closed by the database itself, and breaking that is noticed."""

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from django.apps import apps
from django.db.models import Model
from psycopg import sql

from accounts_app.tenancy.references import references_guard, references_unguarded
from config.runtime.postgres import APP, OWNER
from tests.support import services as support
from tests.support.isolation import Cursor, isolation_faults, refuses_insert

ROOMS = ("accounts_app", "billing_app", "gateway_app", "prompts_app", "workflows_app", "tasks_app")

# Tables of ours without an organization, and why each may be read by every tenant's transaction.
SHARED = {
    "users": "a person belongs to several organizations; sign-in finds them before any is known",
    "revisions": "counts changes of what all share; no data",
    "users_groups": "Django's permission groups, for staff",
    "users_user_permissions": "Django's permissions, for staff",
    "prices": "one price list for all",
    "provider_reports": "of no organization; its policies let operators in only",
    "provider_report_rows": "of no organization; its policies let operators in only",
    "reconciliation_runs": "of all organizations together; its policies let operators in only",
    "gateway_providers": "one catalogue for all; API keys are in the environment or encrypted",
    "gateway_models": "one catalogue for all",
    "gateway_routes": "one catalogue for all",
    "workspaces": "the fixed list of workspaces",
    "statistics_watermarks": "of no organization; its policies let operators in only",
}
# Functions that run as the tables' owner, and why they may.
DEFINERS = {
    "workflow_clock_move": "moves one sequence forward; it holds a number of the queue and nothing of anybody's",
    "partitions_make": "the runtime role owns no table; makes months of tables marked by the owner, nothing else",
    "partitions_drop": "the same; drops whole months, never the last two, and only for a named operator",
    "partition_drop_copied": "the same; drops one month of which an archive holds every row",
}
# Tenant tables whose column has another name.
NAMED_OTHERWISE = {"organizations"}


def _models() -> list[type[Model]]:
    return [model for room in ROOMS for model in apps.get_app_config(room).get_models(include_auto_created=True)]


def _has_organization(model: type[Model]) -> bool:
    return any(field.name == "organization" for field in model._meta.fields)


TENANT_TABLES = sorted(model._meta.db_table for model in _models() if _has_organization(model))


@pytest.fixture
def superuser(django_db_setup: None) -> Iterator[Cursor]:
    """One transaction of the cluster's superuser, rolled back."""
    url = support.database_url("postgres", os.environ["DEEPSPACE_TEST_DATABASE"])
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        yield cursor
        connection.rollback()


@pytest.fixture
def two_tenants(superuser: Cursor) -> tuple[uuid.UUID, uuid.UUID]:
    """Two organizations with a row each in api_keys."""
    pair = uuid.uuid4(), uuid.uuid4()
    for organization_id in pair:
        superuser.execute(
            "INSERT INTO organizations (id, name, is_personal, created_at) VALUES (%s, 'x', false, now())",
            [organization_id],
        )
        superuser.execute(
            "INSERT INTO api_keys (id, organization_id, name, prefix, secret_hash, created_at, scopes, models)"
            " VALUES (%s, %s, 'x', 'x', %s, now(), '{read}', '{}')",
            [uuid.uuid4(), organization_id, uuid.uuid4().hex],
        )
    # A pending foreign key check would keep a test from altering the table.
    superuser.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return pair


@pytest.mark.parametrize("model", _models(), ids=lambda model: model._meta.db_table)
def test_a_table_belongs_to_an_organization_or_to_the_short_list(model: type[Model]) -> None:
    table = model._meta.db_table
    assert _has_organization(model) or table in SHARED or table in NAMED_OTHERWISE, (
        f"{table} has no organization. Give it one and enable_rls, or say in SHARED why all tenants may read it."
    )


def test_the_short_list_names_only_tables_that_exist() -> None:
    assert SHARED.keys() <= {model._meta.db_table for model in _models()}


@pytest.mark.parametrize("table", [*TENANT_TABLES, *sorted(NAMED_OTHERWISE)])
def test_row_level_security_is_forced_with_a_policy_for_each_command(superuser: Cursor, table: str) -> None:
    row = superuser.execute(
        "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", [table]
    ).fetchone()
    commands = superuser.execute("SELECT cmd FROM pg_policies WHERE tablename = %s", [table]).fetchall()
    assert row == (True, True)
    assert {command for (command,) in commands} == {"SELECT", "INSERT", "UPDATE", "DELETE"}


def test_no_table_of_the_database_has_an_organization_that_no_model_knows(superuser: Cursor) -> None:
    rows = superuser.execute(
        "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE a.attname = 'organization_id' AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition"
        " AND c.relnamespace = 'public'::regnamespace"
    ).fetchall()
    assert {name for (name,) in rows} == set(TENANT_TABLES)


def test_partitions_are_forced_like_their_parents(superuser: Cursor) -> None:
    rows = superuser.execute(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND NOT relforcerowsecurity"
    ).fetchall()
    assert rows == []


def test_views_look_with_the_eyes_of_their_reader(superuser: Cursor) -> None:
    rows = superuser.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace"
        " AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'"
    ).fetchall()
    assert rows == []


def test_no_partition_has_a_policy_of_its_own(superuser: Cursor) -> None:
    rows = superuser.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid WHERE c.relispartition"
    ).fetchall()
    assert rows == []


def test_only_listed_functions_run_as_their_definer_and_only_for_the_runtime_role(superuser: Cursor) -> None:
    rows = superuser.execute(
        "SELECT proname, array_to_string(proconfig, ';'), pg_get_userbyid(proowner),"
        " ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END"
        "       FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee <> proowner)"
        " FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert {name for name, *_ in rows} <= DEFINERS.keys()
    for name, settings, owner, callers in rows:
        assert "search_path=pg_catalog, public, pg_temp" in settings, f"{name} could be led astray by a search path"
        assert (owner, callers) == (OWNER, [APP]), name


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_nobody_writes_a_row_for_another_tenant(
    superuser: Cursor, two_tenants: tuple[uuid.UUID, uuid.UUID], table: str
) -> None:
    mine, theirs = two_tenants
    assert refuses_insert(superuser, table, mine, theirs)


def test_tenants_are_closed_to_each_other(superuser: Cursor, two_tenants: tuple[uuid.UUID, uuid.UUID]) -> None:
    assert isolation_faults(superuser, "api_keys", *two_tenants) == []


@pytest.mark.parametrize(
    ("sabotage", "fault"),
    [
        ("DROP POLICY tenant_read ON api_keys", "its own rows are hidden"),
        ("ALTER TABLE api_keys DISABLE ROW LEVEL SECURITY", "the other's rows are counted"),
        ("CREATE POLICY open ON api_keys FOR SELECT USING (true)", "the other's rows are counted"),
        ("CREATE POLICY open ON api_keys FOR ALL USING (true)", "the other's rows are changed"),
        ("CREATE POLICY open ON api_keys FOR ALL USING (true)", "the other's rows are deleted"),
        ("CREATE POLICY open ON api_keys FOR INSERT WITH CHECK (true)", "a row is written for the other"),
        ("CREATE POLICY open ON api_keys FOR ALL USING (true)", "a row is moved to the other"),
    ],
)
def test_the_isolation_test_notices_a_broken_policy(
    superuser: Cursor, two_tenants: tuple[uuid.UUID, uuid.UUID], sabotage: str, fault: str
) -> None:
    superuser.execute(sql.SQL(sabotage))
    assert fault in isolation_faults(superuser, "api_keys", *two_tenants)


def test_every_reference_between_tenants_tables_stays_at_home(superuser: Cursor) -> None:
    assert references_unguarded(superuser) == []
    superuser.execute("DROP TRIGGER same_organization_task_id ON task_events")
    assert references_unguarded(superuser) == [("task_events", "task_id", "tasks")]


@pytest.mark.parametrize(
    ("child_of", "parent_of", "allowed"),
    [
        ("mine", "mine", True),
        ("mine", None, True),
        (None, None, True),
        ("mine", "theirs", False),
        (None, "mine", False),
    ],
)
def test_a_row_refers_to_its_own_organizations_rows_and_to_shared_ones(
    superuser: Cursor, child_of: str | None, parent_of: str | None, allowed: bool
) -> None:
    ids = {"mine": uuid.uuid4(), "theirs": uuid.uuid4(), None: None}
    superuser.execute("CREATE TABLE parents (id int PRIMARY KEY, organization_id uuid)")
    superuser.execute("CREATE TABLE children (parent_id int REFERENCES parents, organization_id uuid)")
    references_guard(superuser)
    superuser.execute("INSERT INTO parents VALUES (1, %s)", [ids[parent_of]])
    superuser.execute("INSERT INTO children VALUES (NULL, %s)", [ids[child_of]])
    for statement in ("INSERT INTO children VALUES (1, %s)", "UPDATE children SET parent_id = 1, organization_id = %s"):
        superuser.execute("SAVEPOINT before")
        if allowed:
            superuser.execute(statement, [ids[child_of]])
        else:
            with pytest.raises(psycopg.errors.ForeignKeyViolation, match="no row of this organization"):
                superuser.execute(statement, [ids[child_of]])
        superuser.execute("ROLLBACK TO SAVEPOINT before")
