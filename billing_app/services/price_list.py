"""All prices that may count from now on: what a process keeps in memory instead of asking for each call."""

from itertools import groupby

from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from billing_app.contracts import PriceRef
from billing_app.models import Price


def price_list() -> dict[str, tuple[PriceRef, ...]]:
    """Return each model's prices, newest first: those that are yet to begin, then the one in force now. One query."""
    begun = Price.objects.filter(model_key=OuterRef("model_key"), effective_from__lte=timezone.now())
    in_force = Subquery(begun.order_by("-effective_from").values("effective_from")[:1])
    counting = Price.objects.annotate(in_force=in_force).filter(
        Q(in_force__isnull=True) | Q(effective_from__gte=F("in_force"))
    )
    rows = counting.order_by("model_key", "-effective_from")
    return {key: tuple(row.ref() for row in group) for key, group in groupby(rows, key=lambda row: row.model_key)}
