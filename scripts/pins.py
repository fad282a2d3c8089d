"""Keep the lower part of the requirement files: everything that the chosen packages bring along, pinned.

``python scripts/pins.py write`` takes the versions from this environment; ``check`` fails when a file differs.
"""

import sys
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
HEADING = "# What these bring along"


def main(action: str) -> int:
    """Write or check both files; returns 1 when ``check`` finds a difference."""
    known: set[str] = set()
    stale = []
    for name in ("requirements.txt", "requirements-dev.txt"):
        file = ROOT / name
        chosen = file.read_text().split(HEADING)[0].rstrip()
        direct = [Requirement(line.split("  #")[0]) for line in chosen.splitlines() if line and line[0] not in "#-"]
        known |= {canonicalize_name(requirement.name) for requirement in direct}
        brought = closure(direct, known)
        known |= set(brought)
        text = "\n".join([chosen, "", HEADING, *(f"{pin}=={version}" for pin, version in sorted(brought.items())), ""])
        if action == "write":
            file.write_text(text)
        elif file.read_text() != text:
            stale.append(name)
    if stale:
        print(f"Not up to date: {', '.join(stale)}. Run: python scripts/pins.py write", file=sys.stderr)
    return 1 if stale else 0


def closure(direct: list[Requirement], known: set[str]) -> dict[str, str]:
    """Return what the requirements need beyond ``known``, by name, with the installed versions."""
    found: dict[str, str] = {}
    waiting, seen = list(direct), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            if name not in known:
                found[name] = distribution(name).version
            waiting += [
                needed for line in requires(name) or [] if applies(needed := Requirement(line), requirement.extras)
            ]
        except PackageNotFoundError:
            if name not in known:
                raise
    return found


def applies(needed: Requirement, extras: set[str]) -> bool:
    """Whether the requirement holds here, given the extras that were asked for."""
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras or {""})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "check"))
