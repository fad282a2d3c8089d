from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TasksConfig(AppConfig):
    name = "tasks_app"
    verbose_name = _("Tasks")

    def ready(self) -> None:
        from accounts_app.services.traces import trace_source_register
        from billing_app.signals import usage_recorded
        from tasks_app.services import progress
        from tasks_app.services.subjects import TasksRoom
        from tasks_app.traces import trace_source
        from workflows_app.services.subjects import subject_room_register
        from workflows_app.signals import run_finished, step_finished

        usage_recorded.connect(progress.on_usage_recorded, dispatch_uid="tasks.usage")
        step_finished.connect(progress.on_step_finished, dispatch_uid="tasks.step")
        run_finished.connect(progress.on_run_finished, dispatch_uid="tasks.run")
        trace_source_register("tasks", trace_source)
        subject_room_register(TasksRoom())
