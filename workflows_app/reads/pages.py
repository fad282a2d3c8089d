"""Pages of a list whose filter has alternatives, each of which an index serves in the list's order.

``status IN (failed, cancelled)`` has no index that gives the newest of both: the database sorts all of them, or reads
the whole list until it has found 50. Here each alternative gives its newest, from its own index, and they are merged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from workflows_app.models import WorkflowRun


@dataclass(frozen=True)
class MergedPages:
    """What `KeysetPagination` asks of a queryset. A row is in it once, however many alternatives it fulfils."""

    rows: QuerySet[WorkflowRun]
    alternatives: tuple[Q, ...]
    ordering: tuple[str, ...] = ("-created_at", "-id")

    def order_by(self, *names: str) -> "MergedPages":
        """Return the same in another order."""
        return replace(self, ordering=names)

    def filter(self, *conditions: Q, **fields: Any) -> "MergedPages":
        """Return those that fulfil the conditions too."""
        return replace(self, rows=self.rows.filter(*conditions, **fields))

    def __getitem__(self, wanted: slice) -> list[WorkflowRun]:
        if not self.alternatives:
            return []
        if len(self.alternatives) == 1:
            return list(self.rows.filter(self.alternatives[0]).order_by(*self.ordering)[wanted])
        names = [name.lstrip("-") for name in self.ordering]
        newest = [
            self.rows.filter(one).order_by(*self.ordering).values_list(*names)[: wanted.stop]
            for one in self.alternatives
        ]
        merged = newest[0].union(*newest[1:]).order_by(*self.ordering)[wanted]
        keys: Iterable[UUID] = [row[names.index("id")] for row in merged]
        return list(self.rows.filter(pk__in=keys).order_by(*self.ordering))
