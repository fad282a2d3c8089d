"""Short-lived commands on the way up: settings check, migrations, initial data."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.environment import BASE_DIR
from config.runtime.bonds import die_with_parent
from config.runtime.children import end_group
from config.runtime.errors import CommandError


def run_command(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> str:
    """Run ``python ARGUMENTS``; returns its standard output, raises CommandError with the end of its errors."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+b") as errors:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments],
            cwd=BASE_DIR,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509
        )
        try:
            output, _ = process.communicate()
        finally:
            end_group(process, grace=0)
    if process.returncode:
        raise CommandError(_reason(log.read_text(errors="replace")))
    return output.decode(errors="replace")


def _reason(errors: str) -> str:
    """The part of a traceback that a person can act on."""
    lines = errors.strip().splitlines() or ["It said nothing."]
    refusal = "ImproperlyConfigured: "
    for line in lines:
        if refusal in line:
            return line.split(refusal, 1)[1]
    return "\n".join(lines[-15:])
