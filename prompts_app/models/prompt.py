from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from prompts_app.models.base import SharedModel


class PromptCategory(models.TextChoices):
    """What a prompt is for. System: how a model behaves always. Task: one piece of work. Mode: chat, plan or build."""

    SYSTEM = "system", _("System")
    TASK = "task", _("Task")
    MODE = "mode", _("Mode")


class Language(models.TextChoices):
    """The language that a version is written in; none means that it serves every language."""

    ANY = "", _("Any language")
    ENGLISH = "en", _("English")
    CHINESE = "zh-hans", _("Simplified Chinese")


class VersionStatus(models.TextChoices):
    """A draft is tried and evaluated; only a published version is what a prompt's key stands for."""

    DRAFT = "draft", _("Draft")
    PUBLISHED = "published", _("Published")


class Prompt(SharedModel):
    """A named text for models. Its content is in its versions; programs ask for it by ``key``."""

    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    key = models.CharField(_("key"), max_length=80)
    name = models.CharField(_("name"), max_length=120)
    description = models.TextField(_("description"), blank=True)
    category = models.CharField(_("category"), max_length=10, choices=PromptCategory, default=PromptCategory.TASK)
    workspace_key = models.CharField(_("workspace"), max_length=20, blank=True)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "prompts"
        verbose_name = _("prompt")
        verbose_name_plural = _("prompts")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="prompt_key_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(category__in=PromptCategory.values), name="prompt_category_known"),
            models.CheckConstraint(
                condition=Q(key__regex=r"^[a-z0-9][a-z0-9_.-]*$"), name="prompt_key_of_lower_case_words"
            ),
        ]
        indexes = [
            # the prompt list of one organization, newest first
            models.Index(
                fields=["organization", "-created_at", "-id"], name="prompt_list", condition=Q(archived_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.key


class PromptVersion(SharedModel):
    """One text of a prompt. It never changes, whatever its status: to change a prompt is to add a version.

    ``messages`` is ``[{"role", "content"}]``; ``variables`` is ``[{"name", "description", "required", "default",
    "trusted"}]``; ``provenance`` says where the text came from (``{"source": "seed" | "edit" | "rewrite" | "copy" |
    "pack"}``, with more for some).
    A trigger refuses changes of everything but the step from draft to published.
    """

    prompt = models.ForeignKey(
        Prompt, on_delete=models.CASCADE, related_name="versions", verbose_name=_("prompt"), db_index=False
    )
    number = models.PositiveIntegerField(_("number"))
    language = models.CharField(_("language"), max_length=10, choices=Language, blank=True, default=Language.ANY)
    status = models.CharField(_("status"), max_length=10, choices=VersionStatus, default=VersionStatus.DRAFT)
    messages = models.JSONField(_("messages"))
    variables = models.JSONField(_("variables"), default=list, blank=True)
    model = models.CharField(_("model"), max_length=120, blank=True)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    notes = models.TextField(_("notes"), blank=True)
    content_hash = models.CharField(_("content hash"), max_length=64)
    # A draft that others grew from may still be deleted.
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("parent version")
    )
    provenance = models.JSONField(_("provenance"), default=dict, blank=True)
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)

    class Meta:
        db_table = "prompt_versions"
        verbose_name = _("prompt version")
        verbose_name_plural = _("prompt versions")
        ordering = ["prompt", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "number"], name="prompt_version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="prompt_version_number_from_one"),
            models.CheckConstraint(condition=Q(language__in=Language.values), name="prompt_version_language_known"),
            models.CheckConstraint(
                condition=Q(status=VersionStatus.DRAFT, published_at__isnull=True)
                | Q(status=VersionStatus.PUBLISHED, published_at__isnull=False),
                name="prompt_version_published_with_time",
            ),
        ]
        indexes = [
            # what a key stands for: the newest published version, by language
            models.Index(
                fields=["prompt", "language", "-number"],
                name="prompt_version_published",
                condition=Q(status=VersionStatus.PUBLISHED),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prompt_id} #{self.number}"

    @property
    def is_published(self) -> bool:
        """Whether the version is what its prompt stands for, or once was."""
        return self.status == VersionStatus.PUBLISHED
