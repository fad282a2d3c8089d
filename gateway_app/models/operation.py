from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class GatewayOperation(models.Model):
    """What an operation key stands for: the call that carries it out, and the request it may be repeated with.

    A tenant's row. Apart from the calls, because a key is unique over all months and their partitions.
    """

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    operation_key = models.CharField(_("operation key"), max_length=320)
    # The same key with another request is a mistake of the caller.
    request_hash = models.CharField(max_length=64)
    call_id = models.UUIDField(_("call"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "gateway_operations"
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "operation_key"], name="operation_key_once"),
        ]
        indexes = [
            # forgetting: WHERE created_at < …
            models.Index(fields=["created_at"], name="operation_by_age"),
        ]

    def __str__(self) -> str:
        return self.operation_key


class GatewayAnswer(TenantModel):
    """The answer of a settled call that has an operation key: given again for the same operation.

    Its id is the call's. Calls from outside keep the bytes as they were sent, our own the text.
    """

    text = models.TextField(_("answer"), blank=True)
    tool_calls = models.JSONField(_("tool calls"), default=list, blank=True)
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    content_type = models.CharField(max_length=120, blank=True)
    body = models.BinaryField(default=bytes, blank=True)

    class Meta:
        db_table = "gateway_answers"
        verbose_name = _("stored answer")
        verbose_name_plural = _("stored answers")
        ordering = ["-created_at"]
        indexes = [
            # forgetting: WHERE created_at < …
            models.Index(fields=["created_at"], name="answer_by_age"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
