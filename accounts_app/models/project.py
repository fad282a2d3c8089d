from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantModel


class Project(TenantModel):
    """A piece of the organization's work, with keys, a budget and figures of its own. Each member may use it.

    An archived project keeps its figures; its keys are refused until it is restored.
    """

    name = models.CharField(_("name"), max_length=80)
    description = models.CharField(_("description"), max_length=300, blank=True)
    log_prompts = models.BooleanField(_("prompts in logs"), default=False)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)

    class Meta:
        db_table = "projects"
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        ordering = ["name"]
        constraints = [
            # An archived project gives its name free.
            models.UniqueConstraint(
                "organization",
                Lower("name"),
                name="project_name_once",
                condition=models.Q(archived_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.name
