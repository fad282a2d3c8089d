"""From nothing to a system that serves, and back to nothing."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil

from config.environment import BASE_DIR
from tests.integration.runtime.conftest import FirstRun, StartCopy
from tests.support.copies import MANAGER, SystemCopy, copy_environment, wait_gone
from tests.support.processes import wait_until


def test_first_run_serves_says_so_and_stops_with_nothing_left(first_run: FirstRun, start_copy: StartCopy) -> None:
    assert first_run.status == 200
    assert re.search(r"^Ready: http://127\.0\.0\.1:\d+$", first_run.said, re.MULTILINE)
    assert re.search(r"^Demo account: demo@example\.com  password: \S{12,}$", first_run.said, re.MULTILINE)
    for what in ("PostgreSQL", "Redis", "tables", "initial data", "applications"):
        assert re.search(rf"{what}.*: \d+\.\d s", first_run.said)
    assert first_run.exit_code == 0
    wait_gone(first_run.tree)
    assert not (first_run.data_dir / "runtime.json").exists()


def test_secrets_are_for_their_owner_only(first_run: FirstRun, start_copy: StartCopy) -> None:
    private = [*(first_run.data_dir / "secrets").iterdir(), first_run.data_dir / "postgres" / "password"]
    private.append(first_run.data_dir / "redis" / "password")

    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}


def test_killed_manager_leaves_no_process_and_the_next_run_has_its_data(
    used_data_dir: Path, start_copy: StartCopy
) -> None:
    killed = start_copy(used_data_dir).wait_ready()
    with killed.owner_connection() as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('still here')")
    assert "[X]  accounts_app.0001_initial" in _migrations_found_by_manage_py(killed)
    tree = killed.tree()
    assert len(tree) > 8
    os.kill(killed.pid, signal.SIGKILL)
    wait_gone(tree)
    assert "is not set" in _migrations_found_by_manage_py(killed)

    again = start_copy(used_data_dir)
    again.wait_for("Bringing the tables up to date: ")
    with again.owner_connection() as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("still here",)


def test_kill_of_the_whole_process_group_leaves_no_process(used_data_dir: Path, start_copy: StartCopy) -> None:
    copy = start_copy(used_data_dir)
    copy.wait_for("Redis: ")
    tree = copy.tree()
    os.killpg(copy.pid, signal.SIGKILL)

    wait_gone(tree)


def test_interrupt_while_starting_stops_what_was_started(tmp_path: Path, start_copy: StartCopy) -> None:
    copy = start_copy(tmp_path / "var")
    copy.wait_for("Bringing the tables up to date …")
    tree = copy.tree()
    os.kill(copy.pid, signal.SIGTERM)

    assert copy.wait_end() == 0
    wait_gone(tree, timeout=1)


def test_two_copies_run_side_by_side(used_data_dir: Path, first_run: FirstRun, start_copy: StartCopy) -> None:
    other_dir = used_data_dir.with_name("other")
    subprocess.run(["cp", "-a", str(first_run.data_dir), str(other_dir)], check=True)
    one, other = start_copy(used_data_dir), start_copy(other_dir)
    one.wait_ready()
    other.wait_ready()

    assert (one.answer(), other.answer()) == (200, 200)
    assert one.published()["DATABASE_URL"] != other.published()["DATABASE_URL"]
    tree = one.tree()
    os.kill(one.pid, signal.SIGINT)
    assert one.wait_end() == 0
    wait_gone(tree, timeout=1)
    assert "database system is shut down" in (used_data_dir / "postgres" / "log").read_text(errors="replace")[-400:]
    assert "Demo account" not in one.said
    assert other.answer() == 200


# As in a person's shell: what is started in the background of a script ignores SIGINT, and make leaves it at that.
MAKE = ["env", "--default-signal=INT", "make"]


def test_interrupting_make_alone_stops_the_system(used_data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(f"run:\n\t@DEEPSPACE_UNDER_MAKE=1 exec {' '.join(MANAGER)}\n")
    make = SystemCopy(used_data_dir, command=[*MAKE, "-C", str(tmp_path), "run"])
    try:
        make.wait_for("Redis: ")
        tree = psutil.Process(make.pid).children(recursive=True)
        os.kill(make.pid, signal.SIGINT)  # not its group, as a person's Ctrl-C would
        wait_gone(tree)
        assert "Stopped." in make.said
    finally:
        make.stop()


def test_killing_make_alone_stops_the_system(used_data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(f"run:\n\t@DEEPSPACE_UNDER_MAKE=1 exec {' '.join(MANAGER)}\n")
    make = SystemCopy(used_data_dir, command=["make", "-C", str(tmp_path), "run"])
    try:
        make.wait_for("Redis: ")
        tree = psutil.Process(make.pid).children(recursive=True)
        os.kill(make.pid, signal.SIGKILL)
        wait_gone(tree)
    finally:
        make.stop()


def test_a_second_signal_ends_applications_that_take_their_time(used_data_dir: Path, start_copy: StartCopy) -> None:
    copy = start_copy(used_data_dir)
    copy.wait_for("Starting the applications …")
    worker = copy.wait_process("celery", "-Q model")
    worker.suspend()  # it will not hear the polite signal
    os.kill(copy.pid, signal.SIGTERM)
    copy.wait_for("Stopping")
    os.kill(copy.pid, signal.SIGTERM)

    wait_until(lambda: copy.wait_end(timeout=10) == 0)


def _migrations_found_by_manage_py(copy: SystemCopy) -> str:
    command = [sys.executable, str(BASE_DIR / "manage.py"), "showmigrations", "--plan"]
    done = subprocess.run(command, env=copy_environment(copy.data_dir, copy.port), capture_output=True, text=True)
    return done.stdout + done.stderr
