"""What a worker is asked over Celery's remote control. Imported by workers with the tasks."""

import os
import signal
import time
from typing import Any

from celery.worker.control import control_command, inspect_command

from workflows_app.services.claims import worker_name
from workflows_app.services.execution import DRAINING

STATE, DRAIN = "deepspace_state", "deepspace_drain"
_BEGAN = time.time()


@inspect_command(name=STATE)
def worker_state(state: Any, **_options: Any) -> dict[str, Any]:
    """Say who this is, which queues it serves, since when, and whether it is leaving."""
    return {
        "place": worker_name(),
        "queues": sorted(state.app.amqp.queues.consume_from),
        "threads": state.consumer.pool.limit,
        "since": _BEGAN,
        "is_draining": DRAINING.is_set(),
    }


@control_command(name=DRAIN)
def worker_drain(state: Any, **_options: Any) -> dict[str, Any]:
    """Leave as after SIGTERM: take nothing more, finish the steps under way, hand the runs over."""
    # Celery takes a second one for impatience.
    if not DRAINING.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    return {"place": worker_name()}
