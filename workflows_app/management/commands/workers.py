"""``./manage.py workers``: who works; ``./manage.py workers drain NAME|--all [--wait]``: let workers go."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.exceptions import DeepSpaceError
from workflows_app.services.workers import Worker, workers_drain, workers_left, workers_list


class Command(BaseCommand):
    help = (
        "List the workers with their queues and runs, or drain some: they finish their step and hand their runs over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the list as one JSON document.")
        actions = parser.add_subparsers(dest="action", metavar="drain")
        drain = actions.add_parser("drain", help="Let workers go after the step that they are at.")
        drain.add_argument("names", nargs="*", metavar="NAME", help="As the list shows them.")
        drain.add_argument("--all", action="store_true", help="All workers.")
        drain.add_argument("--wait", action="store_true", help="Return when they have gone; exit 1 if some have not.")
        drain.add_argument(
            "--timeout",
            type=float,
            default=900,
            metavar="SECONDS",
            help="How long --wait waits (default: %(default)s).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["action"] == "drain":
                self._drain(**options)
            else:
                self._list(workers_list(), as_json=options["json"])
        except DeepSpaceError as error:
            raise CommandError(error.message) from error

    def _list(self, workers: list[Worker], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps([asdict(worker) for worker in workers], default=str))
            return
        for worker in workers:
            self.stdout.write(_line(worker))
            for run in worker.runs:
                self.stdout.write(f"    run {run.id} ({run.organization}) at {run.step or '–'} since {run.since}")
        if not workers:
            self.stdout.write("No worker answers.")

    def _drain(self, *, names: list[str], wait: bool, timeout: float, **options: Any) -> None:
        if bool(names) == options["all"]:
            raise CommandError("Name workers, or say --all.")
        there = {worker.name: worker.place for worker in workers_list() if worker.name}
        if unknown := set(names) - set(there):
            raise CommandError(f"No worker of this name answers: {', '.join(sorted(unknown))}.")
        heard = workers_drain(names=names or None)
        for name in heard:
            self.stdout.write(f"{name} finishes its steps and leaves.")
        if not wait:
            return
        still = workers_left(places=[there[name] for name in heard if name in there], timeout=timeout)
        if still:
            raise CommandError(f"Not gone after {timeout:g} s: {', '.join(sorted(still))}.", returncode=1)
        self.stdout.write("They have gone.")


def _line(worker: Worker) -> str:
    if not worker.name:
        return f"(no answer)  {worker.place}: holds {len(worker.runs)} run(s); others take them when its lease is over"
    since = f"{worker.since:%Y-%m-%d %H:%M:%S}Z"
    words = [worker.name, worker.place, ",".join(worker.queues), f"{worker.threads} hands", f"since {since}"]
    return "  ".join([*words, "draining"] if worker.is_draining else words)
