from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts_app"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        # Each registers itself: signal receivers, the trace header of jobs, the role check, the API's auth schemes.
        from accounts_app import receivers  # noqa: F401
        from accounts_app.api import schema  # noqa: F401
        from accounts_app.labels import labels_apply
        from accounts_app.services import jobs  # noqa: F401
        from accounts_app.services.traces import trace_source_register
        from accounts_app.tenancy import role  # noqa: F401
        from accounts_app.tenancy.references import guard_after_migrate
        from accounts_app.traces import trace_source

        # Once, after the last migration: Django sends the signal for each room.
        post_migrate.connect(guard_after_migrate, sender=self)
        trace_source_register("accounts", trace_source)
        labels_apply()
