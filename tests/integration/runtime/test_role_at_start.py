"""Web server and workers do not start with a database role on which row-level security has no hold."""

import os
import subprocess
import sys

import pytest

from config.environment import BASE_DIR
from tests.support.services import APP, OWNER, database_url

WEB = ["-c", "import config.asgi"]
WORKER = ["-m", "celery", "-A", "config", "worker", "-P", "solo", "-Q", "nothing"]


@pytest.mark.parametrize("command", [WEB, WORKER], ids=["web", "worker"])
def test_superuser_is_refused_at_start(command: list[str]) -> None:
    done = _run(command, "postgres")

    assert done.returncode != 0
    assert "The database role postgres is a superuser. The database role postgres has BYPASSRLS." in done.stderr


@pytest.mark.parametrize("role", [APP, OWNER])
def test_role_under_the_policies_is_let_in(role: str) -> None:
    assert _run(WEB, role).returncode == 0


def _run(command: list[str], role: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "DATABASE_URL": database_url(role, "postgres"),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    return subprocess.run(
        [sys.executable, *command], cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=120
    )
