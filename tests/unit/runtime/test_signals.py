"""A signal to the manager is heard, at whatever moment it comes."""

import subprocess
import sys

from config.environment import BASE_DIR

# The signal comes while a process is forked: Python runs its handler there, and drops what that raises.
SCRIPT = """
import os, signal, subprocess, sys, time
from config.runtime import manager

signal.signal(signal.SIGTERM, manager._interrupt)
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
try:
    subprocess.run([sys.executable, "-c", ""], preexec_fn=lambda: None)
    print("not heard at once")
    time.sleep(30)
except manager.Interrupted:
    print("heard")
"""


def test_a_signal_that_comes_while_a_process_is_started_is_heard() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=BASE_DIR, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n") in (["not heard at once", "heard", ""], ["heard", ""])
    assert "Exception ignored" in done.stderr
