"""What the books tell Prometheus: how much money is set aside now."""

from django.db.models import Count, Sum

from accounts_app.tenancy.context import operator_atomic
from billing_app.models import Hold, HoldStatus
from config.metrics import Reading


def hold_readings() -> list[Reading]:
    """Return number and sum (USD) of the open holds of all organizations, by the index of open holds."""
    with operator_atomic("metrics"):
        open_holds = Hold.objects.filter(status=HoldStatus.OPEN).aggregate(count=Count("pk"), amount=Sum("amount"))
    return [
        Reading("deepspace_holds_open", "Holds that no call has settled yet.", (), {(): float(open_holds["count"])}),
        Reading("deepspace_holds_open_usd", "What they set aside.", (), {(): float(open_holds["amount"] or 0)}),
    ]
