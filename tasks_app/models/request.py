from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel


class TaskRequest(TenantIndexedModel):
    """A request that came with an Idempotency-Key, and its answer. Written in the transaction of the deed."""

    key = models.CharField(_("Idempotency-Key"), max_length=200)
    fingerprint = models.CharField(_("fingerprint of the request"), max_length=64)
    answer = models.JSONField(_("answer"), default=dict)

    class Meta:
        db_table = "task_requests"
        verbose_name = _("task request")
        verbose_name_plural = _("task requests")
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="task_request_key_once"),
            models.CheckConstraint(condition=~models.Q(key=""), name="task_request_key_not_empty"),
        ]

    def __str__(self) -> str:
        return self.key
