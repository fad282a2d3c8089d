from django.urls import URLPattern, path

from workflows_app.api import executions as looks
from workflows_app.api import executions_controls as controls

_one = "v1/executions/<uuid:run_id>"

urlpatterns: list[URLPattern] = [
    path("v1/executions", looks.ExecutionsView.as_view(), name="executions"),
    path("v1/executions/statistics", looks.ExecutionStatisticsView.as_view(), name="executions-statistics"),
    path(_one, looks.ExecutionView.as_view(), name="execution"),
    path(f"{_one}/history", looks.ExecutionHistoryView.as_view(), name="execution-history"),
    path(f"{_one}/steps", looks.ExecutionStepsView.as_view(), name="execution-steps"),
    path(f"{_one}/logs", looks.ExecutionLogsView.as_view(), name="execution-logs"),
    path(f"{_one}/children", looks.ExecutionChildrenView.as_view(), name="execution-children"),
    path(f"{_one}/pause", controls.ExecutionPauseView.as_view(), name="execution-pause"),
    path(f"{_one}/resume", controls.ExecutionResumeView.as_view(), name="execution-resume"),
    path(f"{_one}/cancel", controls.ExecutionCancelView.as_view(), name="execution-cancel"),
    path(f"{_one}/retry", controls.ExecutionRetryView.as_view(), name="execution-retry"),
    path(f"{_one}/replay", controls.ExecutionReplayView.as_view(), name="execution-replay"),
    path(f"{_one}/signal", controls.ExecutionSignalView.as_view(), name="execution-signal"),
]
