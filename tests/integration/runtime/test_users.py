"""As root, also in a home that nobody else may enter, and as somebody without any rights."""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from config.environment import BASE_DIR
from config.runtime import postgres as module
from config.runtime.postgres import EmbeddedPostgres
from tests.support.copies import MANAGER, SystemCopy

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="deepspace-user-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@only_root
def test_ordinary_user_can_run_it(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    if not _can_run_python(nobody):
        pytest.skip("this checkout is in a private home")
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    become = [
        "setpriv",
        "--reuid",
        str(nobody.pw_uid),
        "--regid",
        str(nobody.pw_gid),
        "--clear-groups",
        "--no-new-privs",
    ]
    changes = {"HOME": str(open_folder), "PYTHONDONTWRITEBYTECODE": "1", "COVERAGE_PROCESS_START": ""}
    copy = SystemCopy(open_folder / "var", changes, command=[*become, *MANAGER])
    try:
        copy.wait_for("Bringing the tables up to date …")
        assert {process.uids().real for process in copy.tree()} == {nobody.pw_uid}
        assert {file.stat().st_uid for file in (open_folder / "var").iterdir()} == {nobody.pw_uid}
        copy.terminate()
        assert copy.wait_end() == 0
    finally:
        copy.stop()


@only_root
def test_root_keeps_the_database_in_a_home_that_only_root_may_enter(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(private / "postgres", durable=False)
    try:
        postgres.start()
        with psycopg.connect(postgres.url()) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("deepspace_app",)
        assert (private / "postgres" / "data" / "PG_VERSION").exists()
    finally:
        postgres.stop()


@only_root
def test_program_in_a_private_home_is_copied_once_to_where_its_account_can_run_it(
    open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARED_PROGRAMS", open_folder / "programs")
    spec, account = find_spec(module.PACKAGE), EmbeddedPostgres(tmp_path / "postgres").account
    assert account
    assert spec
    assert spec.origin
    packaged = Path(spec.origin).parent

    copy = module._copy_within_reach(packaged)
    assert module._copy_within_reach(packaged) == copy
    program = copy / f"pginstall{module.MAJOR}" / "bin" / "postgres"
    said = subprocess.run([program, "--version"], user=account.pw_uid, capture_output=True, text=True, check=True)

    assert said.stdout.startswith(f"postgres (PostgreSQL) {module.MAJOR}.")
    assert module._can_reach(program, account)
    assert not module._can_reach(tmp_path, account)
    assert len(list((open_folder / "programs").iterdir())) == 1


def _can_run_python(account: pwd.struct_passwd) -> bool:
    probe = [sys.executable, "-c", "import config.environment"]
    try:
        done = subprocess.run(probe, cwd=BASE_DIR, user=account.pw_uid, env={"PATH": os.defpath}, capture_output=True)
    except PermissionError:
        return False
    return done.returncode == 0
