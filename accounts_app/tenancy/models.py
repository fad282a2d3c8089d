"""The base of every table that belongs to an organization."""

import uuid

from django.db import models


class TenantModel(models.Model):
    """A row of one organization, made by ``user``. Its migration must call ``enable_rls`` on the table."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # An organization with books cannot be deleted by accident: removal is an operator's explicit job.
    organization = models.ForeignKey("accounts_app.Organization", on_delete=models.PROTECT, related_name="+")
    # The creator may leave while the organization keeps the row.
    user = models.ForeignKey("accounts_app.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class TenantIndexedModel(TenantModel):
    """One whose own indexes begin with the organization.

    Another of the organization alone would only be written; and where statistics are young, the planner would read all
    rows of the organization through it.
    """

    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        abstract = True
