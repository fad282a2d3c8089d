"""The scheduler's two sources: what the rooms do by the clock, which is code, and what people scheduled, which is rows.

The first is kept as ever, with its file for the times of long periods; it goes on while Postgres is away. The second is
django-celery-beat's, which looks for changes each second. Neither is written into the other: an entry that leaves the
code leaves the schedule, and no row of a person's can take a room's place.
"""

import logging
from typing import Any

from celery.beat import PersistentScheduler
from django.db import Error
from django_celery_beat.schedulers import DatabaseScheduler

logger = logging.getLogger(__name__)

# Seconds until rows that could not be read are read again.
PAUSE = 5.0


class RowScheduler(DatabaseScheduler):  # type: ignore[misc]
    """Rows alone."""

    def setup_schedule(self) -> None:
        """Read the rows; what is in the code is no row."""
        # A time to compare with, from before the reading on: else the first change after it, or ever, goes unseen.
        self.Changes.update_changed()
        self._last_timestamp = self.Changes.last_change()
        self.schedule  # noqa: B018 - the property reads

    def close(self) -> None:
        """Keep the times, once: not again at the end of the process, when Postgres may have gone."""
        self._finalize.cancel()
        super().close()


class TwoSourceScheduler(PersistentScheduler):
    """Ticks for both."""

    rows: RowScheduler | None = None

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Send what is due from either; returns the seconds until one of them wants to be asked again."""
        return min(float(super().tick(*arguments, **options)), self._tick_rows())

    def close(self) -> None:
        """Keep the times of both."""
        if self.rows is not None:
            self.rows.close()
        super().close()

    def _tick_rows(self) -> float:
        try:
            if self.rows is None:
                self.rows = RowScheduler(app=self.app)
            if self.rows.should_sync():
                self.rows._do_sync()  # noqa: SLF001 - as celery's own beat service does
            return float(self.rows.tick())
        except Error as error:
            logger.warning("beat.rows_unread", extra={"error": type(error).__name__})
            self.rows = None
            return PAUSE
