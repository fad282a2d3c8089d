from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel


class LimitScope(models.TextChoices):
    """Whose calls a limit counts. All limits that apply to a call must admit it."""

    ORGANIZATION = "organization", _("Organization")
    PROJECT = "project", _("Project")
    MEMBER = "member", _("Member")
    KEY = "key", _("API key")


class RateLimit(TenantIndexedModel):
    """How many requests, and how many tokens, one organization, project, member or key may use in any minute."""

    scope = models.CharField(_("scope"), max_length=12, choices=LimitScope)
    # The organization's, project's, member's or key's id; of another room, so no foreign key.
    subject_id = models.UUIDField(_("whose"))
    requests_per_minute = models.PositiveIntegerField(
        _("requests per minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    tokens_per_minute = models.PositiveBigIntegerField(
        _("tokens per minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "rate_limits"
        verbose_name = _("rate limit")
        verbose_name_plural = _("rate limits")
        ordering = ["scope", "-created_at"]
        constraints = [
            # Also the index that finds the limits of a call.
            models.UniqueConstraint(fields=["organization", "scope", "subject_id"], name="rate_limit_once"),
            models.CheckConstraint(condition=Q(scope__in=LimitScope.values), name="rate_limit_scope_known"),
            models.CheckConstraint(
                condition=Q(requests_per_minute__isnull=False) | Q(tokens_per_minute__isnull=False),
                name="rate_limit_limits_something",
            ),
            models.CheckConstraint(
                condition=(Q(requests_per_minute__isnull=True) | Q(requests_per_minute__gt=0))
                & (Q(tokens_per_minute__isnull=True) | Q(tokens_per_minute__gt=0)),
                name="rate_limit_positive",
            ),
            models.CheckConstraint(
                condition=~Q(scope=LimitScope.ORGANIZATION) | Q(subject_id=F("organization_id")),
                name="rate_limit_organization_is_own",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.subject_id}"
