"""What this room does by the clock; merged into the beat schedule by config.celery."""

from typing import Any

# Seconds. A killed worker's hold goes back at most this long after its lease has ended.
SWEEP_CALLS_EVERY = 30.0
FORGET_EVERY = 3600.0

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "gateway-forget-operations": {"task": "gateway_app.tasks.forget_operations", "schedule": FORGET_EVERY},
    "gateway-sweep-calls": {"task": "gateway_app.tasks.sweep_calls", "schedule": SWEEP_CALLS_EVERY},
}
