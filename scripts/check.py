"""``make check``: every check is run, also after one has failed; a table at the end says which ones did.

``python scripts/check.py [NAME …]`` runs some of them.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from config.runtime.postgres import EmbeddedPostgres  # noqa: E402

# The checks that import settings need values, and none of them a service that answers.
SETTINGS = {
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DJANGO_SECRET_KEY": "only-for-checks-" + "x" * 50,
}
CODE = ["accounts_app", "billing_app", "gateway_app", "prompts_app", "workflows_app", "tasks_app", "config"]
CODE += ["tests", "scripts", "bench", "manage.py"]
CHECKS: dict[str, list[str]] = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy", "--strict", "--no-error-summary", *CODE],
    "templates": ["djlint", "templates", "--lint", "--quiet"],
    "layers": ["lint-imports", "--no-logo"],
    "migrations": ["python", "manage.py", "makemigrations", "--check", "--dry-run"],
    "translations": ["python", "scripts/messages.py", "check"],
    "requirements": ["python", "scripts/pins.py", "check"],
}


def main(names: list[str]) -> int:
    """Run the checks that are named, or all; returns 1 when one failed."""
    if unknown := set(names) - set(CHECKS):
        print(f"Unknown: {', '.join(sorted(unknown))}. There are: {', '.join(CHECKS)}.", file=sys.stderr)
        return 2
    results = {name: run(name) for name in names or CHECKS}
    print()
    for name, (passed, seconds) in results.items():
        print(f"{name:<18} {'ok' if passed else 'FAILED':<8} {seconds:5.1f} s")
    return 0 if all(passed for passed, _ in results.values()) else 1


def run(name: str) -> tuple[bool, float]:
    """Run one check, show what it says when it fails; returns (passed, seconds)."""
    begun = time.monotonic()
    print(f"{name} …", flush=True)
    passed = with_database(CHECKS[name]) if name == "migrations" else execute(CHECKS[name], SETTINGS)
    return passed, time.monotonic() - begun


def with_database(command: list[str]) -> bool:
    """Run the command on an empty database of its own; Django looks into one even to compare files."""
    with tempfile.TemporaryDirectory(prefix="deepspace-check-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres", durable=False)
        postgres.start()
        try:
            return execute(command, SETTINGS | {"DATABASE_URL": postgres.url()})
        finally:
            postgres.stop()


def execute(command: list[str], settings: Mapping[str, str]) -> bool:
    """Run one of this environment's programs; returns whether it succeeded."""
    program = str(Path(sys.executable).parent / command[0])
    environment = {**os.environ, **settings, "PYTHONWARNINGS": "error::RuntimeWarning"}
    done = subprocess.run(  # noqa: S603
        [program, *command[1:]],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout.rstrip())
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
