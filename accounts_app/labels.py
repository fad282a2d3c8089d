"""What columns are called that every room has, in the reader's language.

A field without a name of its own is called by its Python name, which no catalogue translates. Here each gets its words
once, after all models are loaded; the migrations do not know of it.
"""

from django.apps import apps
from django.utils.translation import gettext_lazy as _

LABELS = {
    "api_key": _("API key"),
    "body": _("body"),
    "budget": _("budget"),
    "content_type": _("content type"),
    "created_at": _("created at"),
    "created_by": _("created by"),
    "hold": _("hold"),
    "id": _("ID"),
    "input_tokens": _("input tokens"),
    "last_event_id": _("last event"),
    "lease_until": _("lease until"),
    "organization": _("organization"),
    "output_tokens": _("output tokens"),
    "owner": _("owner"),
    "pending_cost_usd": _("pending cost (USD)"),
    "pending_input_tokens": _("pending input tokens"),
    "pending_output_tokens": _("pending output tokens"),
    "prev_event": _("event before"),
    "price": _("price"),
    "project": _("project"),
    "report": _("report"),
    "request_hash": _("hash of the request"),
    "run": _("run"),
    "task": _("task"),
    "user": _("user"),
    "wallet": _("wallet"),
}

# Tables of libraries whose names their catalogues lack: one, many.
TABLES = {"mfa.Authenticator": (_("second factor"), _("second factors"))}


def labels_apply() -> None:
    """Name each field of a room's model that has no name of its own and stands in LABELS, and the TABLES."""
    for label, (one, many) in TABLES.items():
        meta = apps.get_model(label)._meta  # noqa: SLF001
        meta.verbose_name, meta.verbose_name_plural = one, many
    for model in apps.get_models():
        if not model._meta.app_label.endswith("_app"):  # noqa: SLF001 - Django's documented Meta API
            continue
        for field in model._meta.local_fields:  # noqa: SLF001
            # What was given in the model stands in `_verbose_name`; only that goes into migrations.
            if field._verbose_name is None and field.name in LABELS:  # type: ignore[attr-defined]  # noqa: SLF001
                field.verbose_name = LABELS[field.name]
