from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel, TenantModel
from prompts_app.models.base import SharedModel
from prompts_app.models.prompt import PromptVersion


class EvalSuite(SharedModel):
    """A named set of cases that a text, or what a prompt version writes, is held against."""

    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    key = models.CharField(_("key"), max_length=80)
    name = models.CharField(_("name"), max_length=120)
    description = models.TextField(_("description"), blank=True)
    workspace_key = models.CharField(_("workspace"), max_length=20, blank=True)

    class Meta:
        db_table = "eval_suites"
        verbose_name = _("eval suite")
        verbose_name_plural = _("eval suites")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="eval_suite_key_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(key__regex=r"^[a-z0-9][a-z0-9_.-]*$"), name="eval_suite_key_of_lower_case_words"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class EvalCase(SharedModel):
    """One case: variables for the prompt, and assertions ``[{"type", "value"}]`` on the text; all must hold."""

    suite = models.ForeignKey(
        EvalSuite, on_delete=models.CASCADE, related_name="cases", verbose_name=_("eval suite"), db_index=False
    )
    position = models.PositiveIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=120)
    variables = models.JSONField(_("variables"), default=dict, blank=True)
    assertions = models.JSONField(_("assertions"))

    class Meta:
        db_table = "eval_cases"
        verbose_name = _("eval case")
        verbose_name_plural = _("eval cases")
        ordering = ["suite", "position"]
        constraints = [
            models.UniqueConstraint(fields=["suite", "position"], name="eval_case_position_once"),
        ]

    def __str__(self) -> str:
        return self.name


class EvalTarget(models.TextChoices):
    """What was judged: a given text, or what a prompt version wrote for each case's variables."""

    TEXT = "text", _("Text")
    VERSION = "version", _("Prompt version")


class EvalRun(TenantIndexedModel):
    """One suite held against one target. ``pass_rate`` is passed ÷ (passed + failed); errors are not failures."""

    suite = models.ForeignKey(EvalSuite, on_delete=models.PROTECT, related_name="runs", verbose_name=_("eval suite"))
    target = models.CharField(_("target"), max_length=10, choices=EvalTarget)
    version = models.ForeignKey(
        PromptVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="eval_runs",
        verbose_name=_("version"),
    )
    text_hash = models.CharField(_("text's hash"), max_length=64, blank=True)
    operation_key = models.CharField(_("operation key"), max_length=200)
    passed = models.PositiveIntegerField(_("passed"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    errors = models.PositiveIntegerField(_("errors"), default=0)
    pass_rate = models.DecimalField(_("pass rate"), max_digits=5, decimal_places=4, null=True, blank=True)
    total_tokens = models.PositiveIntegerField(_("tokens"), default=0)
    cost_usd = models.DecimalField(_("cost (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    task_id = models.UUIDField(_("task"), null=True, blank=True)
    run_id = models.UUIDField(_("workflow run"), null=True, blank=True)
    step_key = models.CharField(_("step"), max_length=120, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)

    class Meta:
        db_table = "eval_runs"
        verbose_name = _("eval run")
        verbose_name_plural = _("eval runs")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "operation_key"], name="eval_run_operation_once"),
            models.CheckConstraint(
                condition=Q(target=EvalTarget.TEXT, version__isnull=True)
                | Q(target=EvalTarget.VERSION, version__isnull=False),
                name="eval_run_of_a_version_or_a_text",
            ),
            models.CheckConstraint(
                condition=Q(pass_rate__isnull=True) | Q(pass_rate__gte=0, pass_rate__lte=1),
                name="eval_run_pass_rate_between_0_and_1",
            ),
        ]
        indexes = [
            # the newest run of a version in a suite
            models.Index(fields=["organization", "suite", "version", "-created_at"], name="eval_run_by_version"),
        ]

    def __str__(self) -> str:
        return f"{self.passed}/{self.passed + self.failed}"


class CaseOutcome(models.TextChoices):
    """Passed: every assertion held. Failed: one did not. Error: there was nothing to judge, or no way to judge it."""

    PASSED = "passed", _("Passed")
    FAILED = "failed", _("Failed")
    ERROR = "error", _("Error")


class EvalCaseResult(TenantModel):
    """How one case went. ``assertions`` is ``[{"type", "value", "outcome", "message"}]`` in the case's order."""

    eval_run = models.ForeignKey(
        EvalRun, on_delete=models.CASCADE, related_name="results", verbose_name=_("eval run"), db_index=False
    )
    # The case may be edited or removed later; its name and assertions are kept here.
    case = models.ForeignKey(
        EvalCase, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("eval case")
    )
    position = models.PositiveIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=120)
    outcome = models.CharField(_("outcome"), max_length=10, choices=CaseOutcome)
    assertions = models.JSONField(_("assertions"), default=list, blank=True)
    output = models.TextField(_("output"), blank=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    prompt_run_id = models.UUIDField(_("prompt run"), null=True, blank=True)

    class Meta:
        db_table = "eval_case_results"
        verbose_name = _("eval case result")
        verbose_name_plural = _("eval case results")
        ordering = ["eval_run", "position"]
        constraints = [
            models.UniqueConstraint(fields=["eval_run", "position"], name="eval_case_result_position_once"),
            models.CheckConstraint(condition=Q(outcome__in=CaseOutcome.values), name="eval_case_result_outcome_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome}"
