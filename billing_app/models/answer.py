from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _


class StoredAnswer(models.Model):
    """What the billing API answered to a POST with an Idempotency-Key: given again, byte by byte, until it expires.

    Written in the transaction of the deed: there is an answer exactly where there was a deed.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # An answer is a convenience for a day, and goes with its organization.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    key = models.CharField(_("idempotency key"), max_length=120)
    # SHA-256 over method, address and body: tells a repeated request from another one under the same key.
    request_hash = models.CharField(_("hash of the request"), max_length=64)
    status = models.PositiveSmallIntegerField(_("status"))
    content_type = models.CharField(_("content type"), max_length=100)
    body = models.BinaryField(_("body"))
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        db_table = "stored_answers"
        verbose_name = _("stored answer")
        verbose_name_plural = _("stored answers")
        ordering = ["-created_at"]
        constraints = [
            # Also the index that finds the answer.
            models.UniqueConstraint(fields=["organization", "key"], name="stored_answer_once"),
        ]
        indexes = [
            # the clean-up: answers past their time, oldest first
            models.Index(fields=["expires_at"], name="stored_answer_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.key} · {self.status}"
