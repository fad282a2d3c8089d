from django.db import models
from django.utils.translation import gettext_lazy as _


class Revision(models.Model):
    """How often something that every process keeps a copy of has changed. Triggers count; readers compare.

    The names are ``catalogue``, ``prices`` and ``ip_rules`` (the operators').
    """

    name = models.CharField(_("name"), max_length=40, primary_key=True)
    number = models.BigIntegerField(_("number"), default=0)

    class Meta:
        db_table = "revisions"
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")

    def __str__(self) -> str:
        return f"{self.name} {self.number}"
