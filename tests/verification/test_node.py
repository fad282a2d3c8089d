"""The official Node client, where Node and the package are there."""

import shutil
import subprocess

import pytest
from django.conf import settings

from tests.support.accounts import Account
from tests.support.v1 import V1, settled_books

PACKAGE = settings.BASE_DIR / "node_modules" / "openai"


@pytest.mark.skipif(
    not (shutil.which("node") and PACKAGE.exists()), reason="Node's openai package is not here: `npm ci` brings it."
)
def test_official_node_client_is_served(v1: V1, caller: Account) -> None:
    command = ["node", str(settings.BASE_DIR / "tests/verification/client.mjs"), f"{caller.base_url}/v1", caller.secret]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "10 checks\n"
    assert len(settled_books(caller.organization_id).calls) == 10
