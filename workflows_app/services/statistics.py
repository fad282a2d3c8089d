"""Keeps the roll-ups of runs and steps. The counting itself is in sql/workflow_statistics.sql."""

from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from workflows_app.models import Grain, RunStatistic, StatisticsWatermark, StepStatistic

# How many happenings one transaction counts, and how many one job at most; the next one goes on from there.
BATCH = 20_000
MOST = 1_000_000
# Seconds that a row's time may lie before its transaction: the clocks of web servers, whose time creations bear, may be
# behind the database's, and local steps ended up to `MOST_AGO` before they are written.
LAG = 5.0
_COUNT = {"runs": "SELECT workflow_count_runs(%s, %s)", "steps": "SELECT workflow_count_steps(%s, %s)"}
# Longer than any page asks for them, and than the roll-up goes on writing them.
_KEPT = {Grain.MINUTE: timedelta(hours=4), Grain.HOUR: timedelta(days=16)}


def statistics_roll_up(*, lag: float = LAG, batch: int = BATCH, most: int = MOST) -> int:
    """Count what happened since the last time, in an operator context with no transaction open; return how much.

    Each batch is one transaction with its watermark: it may be killed at any moment, and repeated at will.
    """
    counted = 0
    for name in _COUNT:
        while counted < most and (number := _counted(name, lag, batch)):
            counted += number
    return counted


@transaction.atomic
def statistics_prune() -> int:
    """Drop minutes and hours that no page asks for any more; in an operator context. Returns how many rows."""
    dropped = 0
    for grain, kept in _KEPT.items():
        for model in (RunStatistic, StepStatistic):
            old = model.objects.filter(organization__isnull=True, grain=grain, since__lt=timezone.now() - kept)
            dropped += old.delete()[0]
    return dropped


@transaction.atomic
def statistics_restart() -> None:
    """Forget every figure and count again from the oldest event that is still there; in an operator context.

    For repairs: what was counted from months that have been archived since is lost by it.
    """
    list(StatisticsWatermark.objects.select_for_update())
    for model in (RunStatistic, StepStatistic):
        model.objects.all().delete()
    StatisticsWatermark.objects.update(at="1970-01-01T00:00:00Z", counted=0)


@transaction.atomic
def _counted(name: str, lag: float, batch: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT[name], [lag, batch])
        (number,) = cursor.fetchone()
    return int(number)
