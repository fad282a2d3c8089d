"""The examples of docs/api.md do what they say, against the running system."""

import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.gateway import books
from tests.support.routes import all_routes
from tests.support.stack import Stack

DOCUMENT = (settings.BASE_DIR / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if language == "sh" and "export" not in text]


@pytest.fixture
def reader(stack: Stack, make_account: AccountMaker) -> Account:
    """Somebody who follows the document."""
    stack.upstream.script(*["one two three"] * 4)
    return make_account()


def run(command: list[str], account: Account) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "DEEPSPACE_URL": account.base_url,
        "DEEPSPACE_KEY": account.secret,
        "DEEPSPACE_EMAIL": account.email,
        "DEEPSPACE_PASSWORD": account.password,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_examples_run(reader: Account, number: int) -> None:
    said = run([sys.executable, "-c", PYTHON[number].replace("gpt-6-luna", "scripted")], reader)
    assert said.strip()
    if "openai" in PYTHON[number]:
        assert books(reader.organization_id).captured > 0


@pytest.mark.parametrize("number", range(len(SHELL)))
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_shell_examples_run(reader: Account, number: int) -> None:
    said = run(["bash", "-e", "-c", SHELL[number].replace("gpt-6-luna", "scripted")], reader)
    assert said.strip()
    if "Idempotency-Key: order" in SHELL[number]:
        assert said.lower().count("idempotent-replayed: true") == 1
        assert len(books(reader.organization_id).calls) == 1


def test_the_streams_cost_is_the_ledgers(reader: Account) -> None:
    (streaming,) = [text for text in PYTHON if "stream=True" in text]
    said = run([sys.executable, "-c", streaming.replace("gpt-6-luna", "scripted")], reader)
    assert Decimal(said.split()[-1]) == books(reader.organization_id).captured


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:GATEWAY|OPERATION)_[A-Z_]+)`", DOCUMENT))
    assert named
    assert not [name for name in named if not hasattr(settings, name)]


def test_every_address_that_is_named_exists() -> None:
    routes = {route.pattern.strip("/") for route in all_routes()}
    named = {path.strip("/") for path in re.findall(r"`(?:POST |GET )?/(api/[\w/-]+)`", DOCUMENT)}
    assert len(named) > 10
    assert not [path for path in named if not any(route == path or route.startswith(f"{path}/") for route in routes)]


def test_links_lead_to_files() -> None:
    folder = Path(settings.BASE_DIR) / "docs"
    assert not [link for link in re.findall(r"\]\(([\w./-]+\.md)\)", DOCUMENT) if not (folder / link).exists()]
