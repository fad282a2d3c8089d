from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel
from prompts_app.models.base import CallRecord, RunStatus
from prompts_app.models.prompt import Prompt, PromptVersion


class PromptRun(TenantIndexedModel, CallRecord):
    """One application of a version to variables. ``variables`` is a summary: name → ``{"chars", "start"}``."""

    # Versions that were run stay: they are what the run's output is to be understood by.
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="runs", verbose_name=_("prompt"))
    version = models.ForeignKey(PromptVersion, on_delete=models.PROTECT, related_name="runs", verbose_name=_("version"))
    variables = models.JSONField(_("variables"), default=dict, blank=True)
    output = models.TextField(_("output"), blank=True)

    class Meta:
        db_table = "prompt_runs"
        verbose_name = _("prompt run")
        verbose_name_plural = _("prompt runs")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "operation_key"], name="prompt_run_operation_once"),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="prompt_run_status_known"),
            models.CheckConstraint(condition=Q(cost_usd__gte=0), name="prompt_run_cost_not_negative"),
        ]
        indexes = [
            # the last run of each prompt in a list, the runs on a prompt's page
            models.Index(fields=["organization", "prompt", "-created_at"], name="prompt_run_by_prompt"),
            # the runs of a task
            models.Index(fields=["task_id"], name="prompt_run_by_task", condition=Q(task_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.created_at:%Y-%m-%d %H:%M}"


class RewriteTarget(models.TextChoices):
    """What was rewritten: a prompt, into a new draft version, or a task's text."""

    PROMPT = "prompt", _("Prompt")
    TEXT = "text", _("Text")


class PromptBootstrapRun(TenantIndexedModel, CallRecord):
    """One rewrite. ``rewriter`` is the version of the prompt that told the model how to rewrite."""

    target = models.CharField(_("target"), max_length=10, choices=RewriteTarget)
    prompt = models.ForeignKey(
        Prompt, on_delete=models.PROTECT, null=True, blank=True, related_name="rewrites", verbose_name=_("prompt")
    )
    source_version = models.ForeignKey(
        PromptVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="rewrites_from",
        verbose_name=_("source version"),
    )
    source_text = models.TextField(_("source text"), blank=True)
    findings = models.JSONField(_("findings"), default=list, blank=True)
    instruction = models.TextField(_("instruction"), blank=True)
    rewriter = models.ForeignKey(
        PromptVersion,
        on_delete=models.PROTECT,
        related_name="rewrites_by",
        verbose_name=_("rewriting prompt's version"),
    )
    # A draft that came of a rewrite may be thrown away.
    result_version = models.ForeignKey(
        PromptVersion,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="rewrites_to",
        verbose_name=_("result version"),
    )
    result_text = models.TextField(_("result text"), blank=True)

    class Meta:
        db_table = "prompt_bootstrap_runs"
        verbose_name = _("rewrite")
        verbose_name_plural = _("rewrites")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "operation_key"], name="rewrite_operation_once"),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="rewrite_status_known"),
            models.CheckConstraint(condition=Q(cost_usd__gte=0), name="rewrite_cost_not_negative"),
            models.CheckConstraint(
                condition=Q(target=RewriteTarget.TEXT, prompt__isnull=True, source_version__isnull=True)
                | Q(target=RewriteTarget.PROMPT, prompt__isnull=False, source_version__isnull=False),
                name="rewrite_of_a_version_or_a_text",
            ),
        ]
        indexes = [
            # the rewrites on a prompt's page
            models.Index(fields=["prompt", "-created_at"], name="rewrite_by_prompt", condition=Q(prompt__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.target} {self.status}"
