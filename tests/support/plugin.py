"""Loaded with ``-p``, before pytest-django reads the settings: starts what the settings point at."""

import os
from collections.abc import Iterator

import pytest

from tests.support import services as support

_started: list[support.TestServices] = []
_FOREIGN = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "LOCAL_MODEL_URL",
    "DEBUG",
    "TASKS_ENABLED",
    "EMAIL_URL",
)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Start PostgreSQL and Redis once a run, and point this process at its own database."""
    if not support.are_running():
        services = support.TestServices()
        services.start()
        _started.append(services)
    for name in _FOREIGN:
        os.environ.pop(name, None)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ["DEEPSPACE_TEST_DATABASE"] = f"test_{worker}"
    os.environ["DATABASE_URL"] = support.database_url(support.APP, f"test_{worker}")
    os.environ["REDIS_URL"] = support.redis_url(worker)
    # Figures of the tests' own, not those of a system that runs from this checkout.
    os.environ["METRICS_DIR"] = support.metrics_dir(worker)
    os.environ["DJANGO_SECRET_KEY"] = "only-for-tests-" + "x" * 50
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    return (yield)


def pytest_unconfigure() -> None:
    """Stop what this process started."""
    for services in _started:
        services.stop()
