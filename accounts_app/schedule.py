"""What this room does by the clock; merged into the beat schedule by config.celery."""

from typing import Any

# Seconds. Months are made three ahead, so a day without a beat does no harm.
KEEP_PARTITIONS_EVERY = 24 * 3600.0

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "accounts-keep-partitions": {"task": "accounts_app.tasks.keep_partitions", "schedule": KEEP_PARTITIONS_EVERY},
}
