"""Copy the front-end files named in ``static/vendor.json`` to ``static/vendor/``, and nothing else."""

import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = ROOT / "static" / "vendor.json"
TARGET = ROOT / "static" / "vendor"


def main() -> int:
    """Fill a new folder and put it in the old one's place; returns 1 and names the files that were not found."""
    entries = [(ROOT / entry["from"], entry["to"]) for entry in json.loads(ALLOWED.read_text())]
    missing = [str(source.relative_to(ROOT)) for source, _ in entries if not source.is_file()]
    if missing:
        print("Not found:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    partial = TARGET.with_name("vendor.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for source, name in entries:
        copy = partial / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    shutil.rmtree(TARGET, ignore_errors=True)
    partial.rename(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
