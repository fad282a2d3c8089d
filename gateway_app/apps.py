from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    name = "gateway_app"
    verbose_name = _("Gateway")

    def ready(self) -> None:
        from accounts_app.services.traces import trace_source_register
        from gateway_app import receivers  # noqa: F401 - connects them
        from gateway_app.services.traces import trace_source

        trace_source_register("gateway", trace_source)
