from django.urls import path

from workflows_app.web import runs, runs_controls, runs_exports, runs_list, runs_logs, runs_statistics

_RUN = "runs/<uuid:run_id>"

urlpatterns = [
    path("runs/", runs_list.ListView.as_view(), name="list"),
    path("fragments/runs/statistics/", runs_statistics.StatisticsView.as_view(), name="statistics"),
    path(f"{_RUN}/", runs.DetailView.as_view(), name="detail"),
    path(f"{_RUN}/panel/", runs.PanelView.as_view(), name="panel"),
    path(f"{_RUN}/events/", runs.EventsView.as_view(), name="events"),
    path(f"{_RUN}/events/<int:seq>/", runs.EventView.as_view(), name="event"),
    path(f"{_RUN}/logs/", runs_logs.LogsView.as_view(), name="logs"),
    path(f"{_RUN}/replay/", runs_controls.ReplayView.as_view(), name="replay"),
    path(f"{_RUN}/pause/", runs_controls.PauseView.as_view(), name="pause"),
    path(f"{_RUN}/resume/", runs_controls.ResumeView.as_view(), name="resume"),
    path(f"{_RUN}/cancel/", runs_controls.CancelView.as_view(), name="cancel"),
    path(f"{_RUN}/retry/", runs_controls.RetryView.as_view(), name="retry"),
    path(f"{_RUN}/approve/", runs_controls.ApproveView.as_view(), name="approve"),
    path(f"{_RUN}/signal/", runs_controls.SignalView.as_view(), name="signal"),
    path(f"{_RUN}/timeline.<slug:kind>", runs_exports.ExportView.as_view(), name="export"),
    # Loaded by the page of what the runs are about.
    path("fragments/runs/of/<uuid:subject_id>/", runs.OfSubjectView.as_view(), name="of-subject"),
]
