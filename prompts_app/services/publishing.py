"""What keeps a version from being published: errors that break it each time it is run."""

from django.utils.translation import gettext as _

from accounts_app.exceptions import FieldError, InvalidInput
from prompts_app.contracts import Finding, LintDocument
from prompts_app.models import PromptVersion
from prompts_app.selectors import version_ref
from prompts_app.services.linter import lint

_BREAKING = frozenset({"101", "102", "106"})


def version_findings(version: PromptVersion) -> tuple[Finding, ...]:
    """Return what the linter says about a stored version."""
    ref = version_ref(version)
    schema = ref.parameters.get("response_format")
    return lint(LintDocument(target="prompt", messages=ref.messages, variables=ref.variables, schema=schema))


def refuse_broken(version: PromptVersion) -> None:
    """Raise InvalidInput with each template or message error of ``version``, by field, line and column."""
    broken = [item for item in version_findings(version) if item.code in _BREAKING]
    if broken:
        details = tuple(FieldError(f"{item.field}:{item.line}:{item.col}", item.message) for item in broken)
        raise InvalidInput(_("This version has errors and cannot be published."), details=details)
