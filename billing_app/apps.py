from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing_app"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from accounts_app.services.traces import trace_source_register
        from accounts_app.signals import organization_created, user_signed_up
        from billing_app import receivers
        from billing_app.metrics import hold_readings
        from billing_app.traces import trace_source
        from config.metrics import source_register

        organization_created.connect(receivers.on_organization_created, dispatch_uid="billing.wallet_create")
        user_signed_up.connect(receivers.on_user_signed_up, dispatch_uid="billing.signup_credit")
        source_register("holds", hold_readings)
        trace_source_register("billing", trace_source)
