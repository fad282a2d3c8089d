from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts_app"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        # Connects the sending of trace ids, also where a task is only sent by name.
        from accounts_app.services import jobs  # noqa: F401
