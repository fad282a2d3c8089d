"""Reading variables, and what ``.env.example`` says about them."""

import fcntl
import json
import os
import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import settings
from config.environment import BASE_DIR, boolean, positive_int, required, running_services
from config.settings.partitions import _months

READS = re.compile(r"\b(?:env(?:\.\w+)?|required|positive_int|boolean|_text|_usd|_months)\(\s*\"([A-Z][A-Z0-9_]+)\"")
# Read in several places or under several names; none of them is for people to set.
INTERNAL = {"DEEPSPACE_UNDER_MAKE", "DEMO_PASSWORD"}


@pytest.mark.parametrize("value", ["abc", "0", "-1", "1.5", "١", " 5"])
def test_positive_int_refuses_what_is_no_count(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_WORKERS", value)

    with pytest.raises(ImproperlyConfigured, match=r"WEB_WORKERS: must be a whole number of at least 1"):
        positive_int("WEB_WORKERS", 1)


def test_positive_int_refuses_more_than_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "65536")

    with pytest.raises(ImproperlyConfigured, match="PORT: must be at most 65535, not 65536"):
        positive_int("PORT", 8000, 65_535)


@pytest.mark.parametrize(("value", "meaning"), [("true", True), ("1", True), ("ON", True), ("no", False), ("0", False)])
def test_boolean_reads_the_usual_words(value: str, meaning: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", value)

    assert boolean("DEBUG", default=not meaning) is meaning


def test_required_names_the_variable_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")

    with pytest.raises(ImproperlyConfigured, match=r"DATABASE_URL: is not set\. Do this\."):
        required("DATABASE_URL", "Do this.")


def test_variable_may_be_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file")
    monkeypatch.delenv("DJANGO_SECRET_KEY")
    monkeypatch.setenv("DJANGO_SECRET_KEY_FILE", str(tmp_path / "key"))

    assert required("DJANGO_SECRET_KEY", "") == "from a file"


def test_running_services_are_found_while_their_manager_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    published = {"environment": {"DATABASE_URL": "postgres://x"}, "replaces": {"DATABASE_URL": ""}, "pid": 1}
    (tmp_path / "runtime.json").write_text(json.dumps(published))

    assert running_services(tmp_path) == {}
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert running_services(tmp_path) == {"DATABASE_URL": "postgres://x"}
    assert running_services(tmp_path) == {}


def test_database_that_was_chosen_by_hand_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = {
        "environment": {"DATABASE_URL": "postgres://runtime"},
        "replaces": {"DATABASE_URL": "postgres://admin"},
        "pid": 1,
    }
    (tmp_path / "runtime.json").write_text(json.dumps(published))
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setenv("DATABASE_URL", "postgres://another")
        assert running_services(tmp_path) == {}
        monkeypatch.setenv("DATABASE_URL", "postgres://admin")
        assert running_services(tmp_path) == {"DATABASE_URL": "postgres://runtime"}


def test_env_example_lists_exactly_the_variables_that_are_read() -> None:
    files = [*(BASE_DIR / "config").rglob("*.py")]
    read = {name for file in files for name in READS.findall(file.read_text())}
    listed = set(re.findall(r"^#([A-Z][A-Z0-9_]+)=", (BASE_DIR / ".env.example").read_text(), re.MULTILINE))

    assert listed == read - INTERNAL


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "١", ""])
def test_a_retention_that_is_no_number_of_months_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_RETENTION_MONTHS", value)
    with pytest.raises(ImproperlyConfigured, match="USAGE_RETENTION_MONTHS: must be a whole number of months"):
        _months("USAGE_RETENTION_MONTHS")


def test_retention_is_a_number_of_months(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_RETENTION_MONTHS", "13")
    assert _months("USAGE_RETENTION_MONTHS") == 13


def test_commented_defaults_of_env_example_are_the_real_ones() -> None:
    example = dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", (BASE_DIR / ".env.example").read_text(), re.MULTILINE))
    numbers = {name: float(value) for name, value in example.items() if re.fullmatch(r"\d+(\.\d+)?", value)}
    known = {name: float(getattr(settings, name)) for name in numbers if _is_default(name)}

    assert known == {name: numbers[name] for name in known}
    assert len(known) > 5


def _is_default(name: str) -> bool:
    """Whether the setting has the value that it has without the variable; the test run sets some."""
    return hasattr(settings, name) and name not in os.environ
