"""``python -m bench [NAME …]``: all benchmarks, or the named ones."""

import platform
import sys

from bench import executions, first_token, memory, task_create, task_list, v1, workflow
from bench.report import Row, table
from bench.system import System

# Memory comes first, while everything is at rest.
BENCHES = {
    "memory": memory,
    "task_create": task_create,
    "first_token": first_token,
    "task_list": task_list,
    "v1": v1,
    "workflow": workflow,
    "executions": executions,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks in one system; print one table."""
    unknown = set(names) - set(BENCHES)
    if unknown:
        sys.stderr.write(f"Unknown: {', '.join(sorted(unknown))}. There are: {', '.join(BENCHES)}.\n")
        return 2
    rows: list[Row] = []
    with System() as system:
        for name in names or BENCHES:
            print(f"Measuring {name} …", flush=True)
            rows += BENCHES[name].measure(system)
    print(f"\nPython {platform.python_version()} on {platform.machine()}; ratios are ours / reference, same run.\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
