"""A DATA_DIR that has been run once, to begin the other tests from."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.copies import SystemCopy

StartCopy = Callable[..., SystemCopy]


@dataclass(frozen=True)
class FirstRun:
    """What the first start on an empty DATA_DIR said and ran, and how it ended."""

    data_dir: Path
    said: str
    status: int
    tree: list[psutil.Process]
    exit_code: int


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """Start on an empty DATA_DIR, look around, stop with SIGTERM."""
    copy = SystemCopy(tmp_path_factory.mktemp("first") / "var")
    try:
        copy.wait_ready()
        tree, status = copy.tree(), copy.answer()
        copy.terminate()
        return FirstRun(copy.data_dir, copy.said, status, tree, copy.wait_end())
    finally:
        copy.stop()


@pytest.fixture
def used_data_dir(first_run: FirstRun, tmp_path: Path) -> Path:
    """A DATA_DIR like one that has been used: tables, initial data and the demo account are there."""
    data_dir = tmp_path / "var"
    subprocess.run(["cp", "-a", str(first_run.data_dir), str(data_dir)], check=True)
    return data_dir


@pytest.fixture
def start_copy() -> Iterator[StartCopy]:
    """Start copies of the system; what a test leaves running is stopped after it."""
    started: list[SystemCopy] = []

    def start(data_dir: Path, changes: Mapping[str, str] | None = None, port: int = 0) -> SystemCopy:
        started.append(SystemCopy(data_dir, changes, port=port))
        return started[-1]

    yield start
    for copy in started:
        copy.stop()
