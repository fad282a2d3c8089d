"""Errors of this room; see accounts_app.exceptions for their frame."""

from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import Conflict, DeepSpaceError


class RunStopped(Conflict):
    """The caller stopped the run before the text was complete; what had come is kept on the run's row."""

    code = "run_stopped"
    default_message = _("The run was stopped before its text was complete.")


class PromptNotPublished(Conflict):
    """The prompt has no published version, so its key stands for nothing yet."""

    code = "prompt_not_published"
    default_message = _("This prompt has no published version yet. Publish one, or choose a version.")


class SharedPromptReadOnly(Conflict):
    """Initial data is not changed in place: an organization works on a copy of its own."""

    code = "shared_prompt"
    default_message = _("This prompt is shared with everyone. Copy it to change it.")


class RewriteRefused(DeepSpaceError):
    """The model's answer is not usable as the rewritten text; the source stays as it was."""

    code = "rewrite_refused"
    status = 422
    default_message = _("The model did not answer with a usable rewrite. Nothing was changed; try again.")
