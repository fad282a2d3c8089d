"""A backup is made of a system at work, loaded elsewhere, and goes on there as if nothing had happened."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from accounts_app.tenancy.context import operator_context
from billing_app.selectors import wallet_summary
from config.environment import BASE_DIR
from tests.factories.workflows import acting, made_up_config
from tests.support.accounts import account_create
from tests.support.processes import wait_until
from tests.support.services import APP, OWNER, database_url
from workflows_app.services import backups
from workflows_app.services.claims import run_claim
from workflows_app.services.execution import run_advance
from workflows_app.services.runs import execution_start

pytestmark = pytest.mark.usefixtures("committed_db")

SHAPE = """
    SELECT relname, relrowsecurity, relforcerowsecurity,
           (SELECT count(*) FROM pg_policy WHERE polrelid = pg_class.oid),
           (SELECT array_agg(tgname ORDER BY tgname) FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal),
           pg_get_userbyid(relowner), array_to_string(relacl, ' ')
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
"""
FUNCTIONS = """
    SELECT proname, prosecdef, pg_get_userbyid(proowner), array_to_string(proacl, ' '), md5(prosrc)
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname, oidvectortypes(proargtypes)
"""
LAST_MADE = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY oid DESC LIMIT 1
"""
LOCKS = """
    FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND mode = 'ShareUpdateExclusiveLock'
"""
WHO_WAITS = f"SELECT pid {LOCKS} AND relation = %s::regclass AND NOT granted"
WHAT_IT_HAS = f"SELECT relation::regclass::text {LOCKS} AND pid = %s AND granted"
GO_ON = """
import django; django.setup()
from uuid import UUID
from accounts_app.tenancy.context import operator_context, operator_atomic
from workflows_app.models import WorkflowRun
from workflows_app.services.execution import run_advance
with operator_context("test"):
    run_advance(run_id=UUID({run_id!r}))
with operator_atomic("test"):
    print(WorkflowRun.objects.get(pk={run_id!r}).status)
"""


def at(database: str, media: Path) -> dict[str, str]:
    """The environment of a system on this database."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(APP, database),
        "DATABASE_OWNER_URL": database_url(OWNER, database),
        "DATA_DIR": str(media),
    }


def manage(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=280)


def everything(database: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url("postgres", database)) as superuser:
        return superuser.execute(statement.encode()).fetchall()


def counted(database: str, tables: list[str]) -> dict[str, int]:
    """The rows of these tables, with no policy in the way."""
    with psycopg.connect(database_url("postgres", database)) as superuser:
        found = {}
        for table in tables:
            row = superuser.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            assert row
            found[table] = int(row[0])
        return found


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """An empty database of the owner's."""
    name = f"restored_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def interrupted(account: Any) -> UUID:
    """A run whose worker has begun a step and will never end it."""
    config = made_up_config(account.tenant, "finish")
    with acting(account.tenant):
        run_id = execution_start(template=str(config.pk), context={"text": "done"}, key=uuid.uuid4().hex).id
    with operator_context("test"):
        claim = run_claim(run_id)
    assert claim
    assert claim.attempt
    return run_id


def test_a_backup_goes_on_elsewhere(tmp_path: Path, elsewhere: str) -> None:
    here = os.environ["DEEPSPACE_TEST_DATABASE"]
    account = account_create(balance=10)
    run_id = interrupted(account)
    media, folder = tmp_path / "data", tmp_path / "backup"
    (media / "media" / "kept").mkdir(parents=True)
    (media / "media" / "kept" / "note.txt").write_text("tea")

    made = manage(at(here, media), "manage.py", "backup", str(folder))
    assert (folder / "manifest.json").exists(), made.stdout + made.stderr
    manifest = json.loads((folder / "manifest.json").read_text())
    # Policies left nothing out.
    assert manifest["tables"] == counted(here, list(manifest["tables"]))
    assert manifest["files"] == [{"name": "kept/note.txt", "bytes": 3}]

    (media / "media" / "kept" / "note.txt").unlink()
    loaded = manage(at(elsewhere, media), "manage.py", "restore", str(folder))
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert "As the manifest says." in loaded.stdout
    assert (media / "media" / "kept" / "note.txt").read_text() == "tea"
    assert counted(elsewhere, list(manifest["tables"])) == manifest["tables"]

    # Roles, policies, grants, triggers and functions are the same, and they hold.
    assert everything(elsewhere, SHAPE) == everything(here, SHAPE)
    assert everything(elsewhere, FUNCTIONS) == everything(here, FUNCTIONS)
    with psycopg.connect(database_url(APP, elsewhere)) as runtime:
        assert runtime.execute("SELECT count(*) FROM wallets").fetchone() == (0,)

    # The run that was under way is finished there by another worker, once its lease is over.
    gone_on = manage(at(elsewhere, media), "-c", f"import time; time.sleep(3)\n{GO_ON.format(run_id=str(run_id))}")
    assert gone_on.stdout.split() == ["completed"], gone_on.stderr
    for command in ("check_ledger", "check_runs"):
        checked = manage(at(elsewhere, media), "manage.py", command, "--organization", str(account.organization_id))
        assert checked.returncode == 0, checked.stdout + checked.stderr
    with acting(account.tenant):
        assert wallet_summary(account.organization_id).balance == 10
    with operator_context("test"):
        run_advance(run_id=run_id)  # and here as well: they are two systems now


def test_what_came_is_analyzed_without_keeping_tables_from_autovacuum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autovacuum may have one of the tables, and want another that has been looked at already."""
    here = os.environ["DEEPSPACE_TEST_DATABASE"]
    monkeypatch.setattr(backups, "_parameters", lambda: conninfo_to_dict(database_url(OWNER, here)))
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(database_url("postgres", here), autocommit=True) as superuser,
        psycopg.connect(database_url(OWNER, here)) as autovacuum,
    ):
        ((table,),) = superuser.execute(LAST_MADE).fetchall()
        autovacuum.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(sql.Identifier(table)))
        analysis = pool.submit(backups._analyze)
        ((pid,),) = wait_until(lambda: superuser.execute(WHO_WAITS, [table]).fetchall())
        assert superuser.execute(WHAT_IT_HAS, [pid]).fetchall() == []
        autovacuum.rollback()
        analysis.result(60)


def test_what_cannot_be_backed_up_or_loaded_is_said(tmp_path: Path) -> None:
    here = os.environ["DEEPSPACE_TEST_DATABASE"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    refused = manage(at(here, tmp_path), "manage.py", "backup", str(tmp_path / "full"))
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
    nothing = manage(at(here, tmp_path), "manage.py", "restore", str(tmp_path / "full"))
    assert "holds no whole backup" in nothing.stderr


def test_a_backup_is_not_loaded_over_what_is_there(tmp_path: Path) -> None:
    here = os.environ["DEEPSPACE_TEST_DATABASE"]
    dump = tmp_path / "database.dump"
    dump.write_text("x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of x
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, "dump": {"database.dump": digest}}))
    refused = manage(at(here, tmp_path), "manage.py", "restore", str(tmp_path))
    assert "The database is not empty." in refused.stderr
    dump.write_text("y")
    damaged = manage(at(here, tmp_path), "manage.py", "restore", str(tmp_path))
    assert "is not what the manifest describes" in damaged.stderr
