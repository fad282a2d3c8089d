"""Celery tasks: thin."""

from accounts_app.services.jobs import system_task
from accounts_app.services.partitions import partitions_keep


@system_task("partitions_keep")
def keep_partitions() -> list[str]:
    """Make the months to come, drop those past their retention; return the names of both."""
    upkeep = partitions_keep()
    return [*upkeep.made, *upkeep.dropped]
