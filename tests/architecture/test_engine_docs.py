"""docs/engine.md: every promise names tests that exist, and its example is a handler that runs."""

import re
from pathlib import Path

import pytest

from accounts_app.tenancy.context import bound
from tests.factories.workflows import acting, owner, started
from workflows_app.registry import handler_remove
from workflows_app.selectors import run_get
from workflows_app.services.execution import run_advance

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
FOLDERS = {"U": "tests/unit/workflows_app", "I": "tests/integration/workflows_app", "": "tests"}
_PROMISE = re.compile(r"^\| (\d+) \| .* \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"([UI]?) ?`([\w/]+\.py)::(\w+)`")
_EXAMPLE = re.compile(r"```python\n(.+?)```", re.DOTALL)


def test_promises_are_numbered_and_each_names_a_test_that_exists() -> None:
    promises = _PROMISE.findall(TEXT)
    assert [int(number) for number, _tests in promises] == list(range(1, len(promises) + 1))
    for number, cell in promises:
        named = _TEST.findall(cell)
        assert named, f"promise {number} names no test"
        for folder, file, test in named:
            source = (ROOT / FOLDERS[folder] / file).read_text(encoding="utf-8")
            assert f"def {test}(" in source, f"promise {number}: {file}::{test}"


@pytest.mark.usefixtures("committed_db")
def test_the_worked_example_runs() -> None:
    (example,) = _EXAMPLE.findall(TEXT)
    exec(compile(example, "docs/engine.md", "exec"), {})  # noqa: S102 - our own words
    tenant = owner()
    try:
        run = started(tenant, {"action": "price", "via": "shop/price"}, context={"article": "tea"})
        with bound(tenant):
            run_advance(run_id=run.id)
        with acting(tenant):
            detail = run_get(run.id)
    finally:
        handler_remove("shop/price")
    assert (detail.status, detail.context["price"]) == ("completed", 300)
