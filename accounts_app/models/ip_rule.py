import uuid
from ipaddress import ip_network

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _


class IpAction(models.TextChoices):
    """A denied network is refused whatever is allowed; where something is allowed, everything else is refused."""

    ALLOW = "allow", _("Allow")
    DENY = "deny", _("Deny")


class IpRule(models.Model):
    """One network that may, or may not, use the API: of one key, one project, an organization, or (the operators') all.

    ``network`` is an IPv4 or IPv6 address or network as `ipaddress` writes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("organization"),
        help_text=_("Empty: for everybody on this system."),
    )
    project = models.ForeignKey(
        "accounts_app.Project", on_delete=models.CASCADE, null=True, blank=True, related_name="ip_rules"
    )
    api_key = models.ForeignKey(
        "accounts_app.ApiKey", on_delete=models.CASCADE, null=True, blank=True, related_name="ip_rules"
    )
    user = models.ForeignKey("accounts_app.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    action = models.CharField(_("action"), max_length=5, choices=IpAction)
    network = models.CharField(_("address or network"), max_length=43)
    note = models.CharField(_("note"), max_length=120, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "ip_rules"
        verbose_name = _("IP rule")
        verbose_name_plural = _("IP rules")
        ordering = ["-action", "network"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "project", "api_key", "network"], name="ip_rule_once", nulls_distinct=False
            ),
            models.CheckConstraint(condition=models.Q(action__in=IpAction.values), name="ip_rule_action_known"),
            models.CheckConstraint(
                condition=models.Q(project=None) | models.Q(api_key=None), name="ip_rule_of_one_subject"
            ),
            # The operators' rules are for all: they name no project and no key.
            models.CheckConstraint(
                condition=models.Q(organization__isnull=False) | models.Q(project=None, api_key=None),
                name="ip_rule_subject_has_organization",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.network}"

    def clean(self) -> None:
        self.network = network_text(self.network)


def network_text(value: str) -> str:
    """Return an address or network in its one spelling, IPv4 inside IPv6 as IPv4. Raises ValidationError."""
    text = value.strip()
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValidationError({"network": _("This is no IP address and no network like 203.0.113.0/24.")}) from error
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        network = ip_network(f"{mapped}/{network.prefixlen - 96}")
    return str(network.network_address) if network.num_addresses == 1 else str(network)
