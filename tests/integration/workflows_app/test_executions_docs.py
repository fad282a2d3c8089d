"""The examples of docs/executions.md do what they say, against the running system."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.routes import all_routes
from tests.support.stack import Stack
from tests.support.upstream_script import Behaviour

DOCUMENT = (settings.BASE_DIR / "docs" / "executions.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if language == "sh" and "export" not in text]
SAID = ["completed 0.", "May it be published?\nGo ahead.", "pending"]


@pytest.fixture
def reader(stack: Stack, make_account: AccountMaker) -> Account:
    """Somebody who follows the document. What is to be cancelled lasts until then."""
    stack.upstream.behave(Behaviour(match="Never mind.", hang="stream"))
    stack.upstream.script(*["one two three"] * 4)
    return make_account()


def run(command: list[str], account: Account) -> str:
    environment = {"PATH": os.environ["PATH"], "DEEPSPACE_URL": account.base_url, "DEEPSPACE_KEY": account.secret}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_examples_run(reader: Account, number: int) -> None:
    assert SAID[number] in run([sys.executable, "-c", PYTHON[number]], reader)


@pytest.mark.parametrize("number", range(len(SHELL)))
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_shell_examples_run(reader: Account, number: int) -> None:
    said = run(["bash", "-e", "-c", SHELL[number]], reader)
    for expected in ("201 Created", "/cancel", "statistics"):
        if expected in SHELL[number]:
            assert {"/cancel": '"id":', "statistics": '"unfinished"'}.get(expected, expected) in said
    assert '"error":{' not in said


def test_every_address_that_is_named_exists() -> None:
    routes = {re.sub(r"<[^>]+>", "{id}", route.pattern).strip("/") for route in all_routes()}
    named = set(re.findall(r"`(?:POST |GET )?/(api/v1/executions[\w/{}-]*?)(?:/…)?`", DOCUMENT))
    assert len(named) >= 6
    assert not [path for path in named if path not in routes]


def test_links_lead_to_files() -> None:
    folder = Path(settings.BASE_DIR) / "docs"
    assert not [link for link in re.findall(r"\]\(([\w./-]+\.md)\)", DOCUMENT) if not (folder / link).exists()]


def test_the_setting_that_is_named_exists() -> None:
    assert settings.WORKFLOW_MAX_QUEUED == 20_000
