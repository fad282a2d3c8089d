from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from accounts_app.signals import seed_requested


class WorkflowsConfig(AppConfig):
    name = "workflows_app"
    verbose_name = _("Workflows")

    def ready(self) -> None:
        from accounts_app.services.traces import trace_source_register
        from config.health import part_register
        from config.metrics import source_register
        from workflows_app import metrics
        from workflows_app.health import queue_part
        from workflows_app.services.children import on_run_finished
        from workflows_app.services.seeds import seed
        from workflows_app.signals import run_finished, run_started
        from workflows_app.traces import trace_source

        import_module("workflows_app.handlers")
        import_module("workflows_app.engine")
        run_finished.connect(on_run_finished, dispatch_uid="workflows_app.children")
        run_started.connect(metrics.on_run_started, dispatch_uid="workflows_app.metrics")
        run_finished.connect(metrics.on_run_finished, dispatch_uid="workflows_app.metrics")
        source_register("engine", metrics.engine_readings)
        part_register("engine", queue_part)
        seed_requested.connect(seed, dispatch_uid="workflows_app.seed")
        trace_source_register("workflows", trace_source)
