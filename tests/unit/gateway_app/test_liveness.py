import os
import subprocess
import sys

from gateway_app.services.liveness import is_surely_alive, is_surely_gone, owner_id


def _owner_of_another() -> str:
    code = "from gateway_app.services.liveness import owner_id; print(owner_id())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_this_process_lives() -> None:
    assert is_surely_alive(owner_id())
    assert not is_surely_gone(owner_id())


def test_a_process_that_ended_is_gone() -> None:
    owner = _owner_of_another()
    assert is_surely_gone(owner)
    assert not is_surely_alive(owner)


def test_a_reused_process_number_is_another_process() -> None:
    machine, pid, _started = owner_id().rsplit("|", 2)
    assert int(pid) == os.getpid()
    assert is_surely_gone(f"{machine}|{pid}|1")


def test_of_another_machine_nothing_is_sure() -> None:
    owner = f"elsewhere|{os.getpid()}|1"
    assert not is_surely_gone(owner)
    assert not is_surely_alive(owner)
    assert not is_surely_gone(f"elsewhere|{os.getpid()}|")
