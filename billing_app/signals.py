"""What this room tells the rooms above it. Sent inside the transaction of the deed."""

from django.dispatch import Signal

# A model call was recorded. Arguments: usage (UsageEntry), task_id (UUID or None), run_id (UUID or None).
usage_recorded = Signal()
# A hold ran out of time and its money went back. Arguments: hold_id (UUID), billing_ref_id (str).
hold_expired = Signal()
