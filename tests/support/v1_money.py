"""The money run by itself, with a durable PostgreSQL of its own, one of its parts killed in the middle.

``python -m tests.support.v1_money --calls 10000 --kill none|web|postgres`` prints what the books say and exits 1 when
anything differs.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psutil

from config.runtime.ports import free_port
from config.runtime.postgres import APP, DATABASE, OWNER, EmbeddedPostgres, grant_runtime
from config.runtime.redis import EmbeddedRedis

PAID_IN = 1_000


class Services:
    """PostgreSQL and Redis of the run. Durable: what was committed is to outlive a kill."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="deepspace-money-"))
        self.home.chmod(0o755)
        self.postgres = EmbeddedPostgres(self.home / "postgres", durable=True)
        self.redis = EmbeddedRedis(self.home / "redis")

    def start(self) -> None:
        """Start both, make the tables and the seeds, and set Django up on them."""
        self.postgres.start()
        self.redis.start()
        os.environ |= {
            "DATABASE_URL": self.postgres.url(OWNER),
            "REDIS_URL": self.redis.url,
            "METRICS_DIR": str(self.home / "metrics"),
            "DJANGO_SECRET_KEY": "only-for-tests-" + "x" * 50,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        }
        self._migrate()
        import django

        os.environ["DATABASE_URL"] = self.postgres.url(APP)
        django.setup()
        from django.core.management import call_command

        call_command("seed", verbosity=0)

    def kill_postgres(self) -> None:
        """Kill all of PostgreSQL at once, as a power cut would, and start it again after a moment."""
        assert self.postgres.process
        server = psutil.Process(self.postgres.process.pid)
        for process in [server, *server.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.postgres.process.wait()
        time.sleep(1)
        self.postgres.start()

    def stop(self) -> None:
        """Stop both and forget them."""
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _migrate(self) -> None:
        import subprocess

        import psycopg

        with psycopg.connect(self.postgres.url(OWNER, DATABASE), autocommit=True) as owner:
            grant_runtime(owner)
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], check=True)


@contextlib.contextmanager
def _services() -> Iterator[Services]:
    services = Services()
    try:
        services.start()
        yield services
    finally:
        services.stop()


def main(arguments: list[str]) -> int:
    """Make the run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--kill", choices=["none", "web", "postgres"], default="none")
    options = parser.parse_args(arguments)
    with _services() as services:
        return _run(services, options)


def _run(services: Services, options: argparse.Namespace) -> int:
    # Only now is there a database for them.
    from tests.support.accounts import account_create
    from tests.support.upstream import ScriptedUpstream
    from tests.support.v1 import V1
    from tests.support.v1_load import draws
    from tests.support.v1_run import faults_plan, finished, import_report, money_catalogue, run

    upstream = ScriptedUpstream().start()
    server = V1(upstream)
    try:
        money_catalogue(upstream.url)
        upstream.plan = faults_plan(options.seed)
        server.start()
        ports = [server.port, *(free_port() for _ in range(options.servers - 1 + (options.kill == "web")))]
        others = [server.spawn(port) for port in ports[1:]]
        account = account_create(balance=PAID_IN, base_url=server.url)
        disasters: dict[str, Callable[[], None] | None] = {
            "none": None,
            "web": others[-1].kill9 if others else None,
            "postgres": services.kill_postgres,
        }
        began = time.monotonic()
        seen = run(
            draws(options.seed, options.calls),
            ports,
            account.secret,
            at_once=options.at_once,
            disaster=disasters[options.kill],
            upstream=upstream,
        )
        seconds = time.monotonic() - began
        _forget_connections()
        found = finished(account.organization_id, upstream, seen, paid_in=Decimal(PAID_IN), resolve=import_report)
        _tell(f"requests {len(seen)} in {seconds:.1f} s, {options.at_once} at once, kill: {options.kill}")
        _tell(f"calls held for {len(found.books.calls)}, tries at the upstream {len(upstream.served)}")
        _tell("endings " + ", ".join(f"{name} {count}" for name, count in sorted(found.endings.items())))
        _tell(f"ledger {found.ledger:.10f} = usage {found.usage:.10f} = upstream's tally {found.expected:.10f} USD")
        _tell(f"difference {found.difference:.10f}; faults {len(found.faults)}")
        for fault in found.faults[:20]:
            _tell(f"  {fault}")
        return 1 if found.faults or found.difference else 0
    finally:
        server.stop()
        upstream.stop()


def _forget_connections() -> None:
    """Those of this process may lead to a PostgreSQL that was killed."""
    from typing import Any

    from django.db import connection

    database: Any = connection
    database.close()
    database.close_pool()


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
