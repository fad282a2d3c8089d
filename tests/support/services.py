"""The real PostgreSQL and Redis of a test run, shared by all its xdist workers."""

import json
import os
import shutil
import tempfile
from pathlib import Path

from config.runtime.postgres import APP, OWNER, EmbeddedPostgres
from config.runtime.redis import EmbeddedRedis

_VARIABLES = ("DEEPSPACE_TEST_POSTGRES", "DEEPSPACE_TEST_REDIS")


class TestServices:
    """Start before Django is set up, stop at the end. xdist workers inherit the addresses from the controller."""

    __test__ = False

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="deepspace-test-"))
        self.home.chmod(0o755)
        self.postgres = EmbeddedPostgres(self.home / "postgres", durable=False)
        self.redis = EmbeddedRedis(self.home / "redis")

    def start(self) -> None:
        self.postgres.start()
        self.redis.start()
        urls = {role: self.postgres.url(role, "{database}") for role in ("postgres", OWNER, APP)}
        os.environ["DEEPSPACE_TEST_POSTGRES"] = json.dumps(urls)
        os.environ["DEEPSPACE_TEST_REDIS"] = self.redis.url
        os.environ["DEEPSPACE_TEST_HOME"] = str(self.home)

    def stop(self) -> None:
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(self.home, ignore_errors=True)


def are_running() -> bool:
    """Whether another process of this run has started them."""
    return all(name in os.environ for name in _VARIABLES)


def database_url(role: str, database: str) -> str:
    """Return the URL of the test server for one of: postgres, the owner, the runtime role."""
    url: str = json.loads(os.environ["DEEPSPACE_TEST_POSTGRES"])[role]
    return url.replace("{database}", database)


def redis_url(worker: str) -> str:
    """Return the URL of a Redis database of the worker's own (gw0 → 1, …)."""
    number = int(worker.removeprefix("gw")) + 1 if worker.startswith("gw") else 0
    return os.environ["DEEPSPACE_TEST_REDIS"].removesuffix("/0") + f"/{number}"


def redis_url_beside(url: str) -> str:
    """Return the URL of another database of the worker's, for a second system: workers wait for runs in theirs."""
    address, _slash, number = url.rpartition("/")
    return f"{address}/{int(number) + 8}"


def metrics_dir(worker: str) -> str:
    """Return the folder of the worker's own figures."""
    return str(Path(os.environ["DEEPSPACE_TEST_HOME"]) / f"metrics-{worker}")


__all__ = [
    "APP",
    "OWNER",
    "TestServices",
    "are_running",
    "database_url",
    "metrics_dir",
    "redis_url",
    "redis_url_beside",
]
