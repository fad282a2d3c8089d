"""What `make test` and `make check` say and return."""

import json
from pathlib import Path

import grimp
import pytest

from scripts import check, run_tests, vendor_assets
from scripts.import_contracts import RoomDoors


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Chromium."""
    monkeypatch.setenv("PATH", str(tmp_path))


def test_missing_browser_is_an_error_where_it_is_required(
    no_browser: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEPSPACE_REQUIRE_BROWSER", "1")

    assert run_tests.main([]) == 1
    assert "Browser tests: NOT RUN (Chromium was not found; apt-get install chromium)" in capsys.readouterr().out


def test_last_line_says_that_browser_tests_were_not_run(
    no_browser: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DEEPSPACE_REQUIRE_BROWSER", raising=False)
    monkeypatch.setattr(run_tests, "options", lambda _arguments: ["--version"])

    assert run_tests.main([]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Browser tests: NOT RUN (Chromium was not found; apt-get install chromium)"


@pytest.mark.parametrize(("installed", "said"), [(True, "run"), (False, "NOT RUN (it is not installed; make install)")])
def test_it_is_said_whether_the_local_model_was_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], installed: bool, said: str
) -> None:
    monkeypatch.delenv("DEEPSPACE_REQUIRE_BROWSER", raising=False)
    monkeypatch.setattr(run_tests, "options", lambda _arguments: ["--version"])
    monkeypatch.setattr(run_tests, "has_model", lambda: installed)

    assert run_tests.main([]) == 0
    assert f"Local model tests: {said}" in capsys.readouterr().out


def test_last_line_says_that_browser_tests_were_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "chromium"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(run_tests, "options", lambda _arguments: ["--version"])

    assert run_tests.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Browser tests: run"


def test_every_check_is_run_and_one_failure_fails_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = {name: ["python", "-c", f"raise SystemExit({code})"] for name, code in (("a", 0), ("b", 1), ("c", 0))}
    monkeypatch.setattr(check, "CHECKS", checks)

    assert check.main([]) == 1
    table = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[:2] for line in table] == [["a", "ok"], ["b", "FAILED"], ["c", "ok"]]
    assert check.main(["a", "c"]) == 0
    assert check.main(["z"]) == 2


def test_only_allowed_front_end_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ROOT", tmp_path), ("ALLOWED", tmp_path / "vendor.json"), ("TARGET", tmp_path / "vendor")):
        monkeypatch.setattr(vendor_assets, name, value)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "a.js").write_text("a")
    (tmp_path / "node_modules" / "b.js").write_text("b")
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "old.js").write_text("gone from the list")
    (tmp_path / "vendor.json").write_text(json.dumps([{"from": "node_modules/a.js", "to": "deep/a.js"}]))

    assert vendor_assets.main() == 0
    assert [path.relative_to(tmp_path) for path in (tmp_path / "vendor").rglob("*.js")] == [Path("vendor/deep/a.js")]


def test_missing_front_end_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vendor_assets, "ROOT", tmp_path)
    monkeypatch.setattr(vendor_assets, "ALLOWED", tmp_path / "vendor.json")
    (tmp_path / "vendor.json").write_text(json.dumps([{"from": "node_modules/a.js", "to": "a.js"}]))

    assert vendor_assets.main() == 1
    assert "node_modules/a.js" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("imported", "kept"),
    [
        ("billing_app.services.wallets", True),
        ("billing_app.contracts", True),
        ("accounts_app.tenancy.context", True),
        ("billing_app.models.wallet", False),
        ("billing_app.api.views", False),
        ("accounts_app.models", False),
        ("config.urls", True),
    ],
)
def test_a_room_is_entered_by_its_doors_only(imported: str, kept: bool) -> None:
    graph = grimp.ImportGraph()
    for module in ("gateway_app.services.chat", imported):
        graph.add_module(module)
    graph.add_import(importer="gateway_app.services.chat", imported=imported, line_number=3, line_contents="import")
    options = {
        "rooms": ["accounts_app", "billing_app", "gateway_app"],
        "doors": ["services", "contracts"],
        "extra_doors": ["accounts_app.tenancy"],
    }
    contract = RoomDoors(name="doors", session_options={}, contract_options=options)

    assert contract.check(graph, verbose=False).kept is kept
