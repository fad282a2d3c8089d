"""What this room tells the rooms above it. Sent inside the transaction of the deed."""

from django.dispatch import Signal

# Arguments: organization_id (UUID), user_id (UUID or None).
organization_created = Signal()
# A person signed up through the web. Arguments: organization_id, user_id.
user_signed_up = Signal()
# `./manage.py seed` runs. Receivers load their room's initial data, idempotently, and return a short summary.
seed_requested = Signal()
