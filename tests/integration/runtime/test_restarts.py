"""What ends while the system runs is started again, and that is said."""

from pathlib import Path

import psutil

from tests.integration.runtime.conftest import StartCopy
from tests.support.copies import SystemCopy, wait_gone
from tests.support.processes import wait_until

PARTS = {
    "web": ("granian",),
    "model worker": ("celery", "-Q model"),
    "work worker": ("celery", "-Q work"),
    "beat": ("celery", " beat "),
    "PostgreSQL": ("postgres", "-p "),
    "Redis": ("-server",),
}


def test_each_part_that_is_killed_runs_again(used_data_dir: Path, start_copy: StartCopy) -> None:
    copy = start_copy(used_data_dir).wait_ready()
    for name, words in PARTS.items():
        _kill(copy, *words)
        copy.wait_for(rf"{name} \(process \d+\) was ended by SIGKILL\. Starting it again in 0\.5 s\.")
        copy.wait_for(rf"{name} runs again \(process \d+\)\.")
    wait_until(lambda: copy.answer() == 200, timeout=60)
    wait_until(lambda: not [process for process in copy.tree() if process.status() == psutil.STATUS_ZOMBIE])


def test_killed_guard_is_replaced_and_still_ends_everything(used_data_dir: Path, start_copy: StartCopy) -> None:
    copy = start_copy(used_data_dir)
    copy.wait_for("Starting the applications …")
    copy.wait_process("celery", "-Q model")
    killed = _kill(copy, "guard.py")
    wait_until(lambda: (new := copy.find("guard.py")) and new != killed)
    tree = copy.tree()
    psutil.Process(copy.pid).kill()

    wait_gone(tree)


def _kill(copy: SystemCopy, *words: str) -> psutil.Process:
    process = copy.wait_process(*words)
    process.kill()
    return process
