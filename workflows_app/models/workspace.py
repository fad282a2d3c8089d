import uuid

from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _


class Workspace(models.Model):
    """A kind of work: article, prompt, general, video. The same for every organization."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.SlugField(_("key"), max_length=20, unique=True)
    name = models.CharField(_("name"), max_length=60)
    name_zh_hans = models.CharField(_("name in Chinese"), max_length=60)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "workspaces"
        verbose_name = _("workspace")
        verbose_name_plural = _("workspaces")
        ordering = ["key"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(key__in=["article", "prompt", "general", "video"]), name="workspace_key_known"
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The name in the active language."""
        return self.name_zh_hans if (get_language() or "").startswith("zh") else self.name
