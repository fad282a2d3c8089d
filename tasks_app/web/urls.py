from django.urls import URLPattern, URLResolver, include, path

from tasks_app.gate import task_entry
from tasks_app.web import fragments, hub, timeline, views

_TASK = "tasks/<uuid:task_id>"
_PROMPT = "fragments/tasks"

_pages = [
    # Open while tasks are switched off: it is where signing in leads; the view leaves the Task Hub out.
    path("", hub.HomeView.as_view(), name="home"),
    path("dashboard/", task_entry(hub.DashboardView.as_view()), name="dashboard"),
    path(f"{_TASK}/", task_entry(views.DetailView.as_view()), name="detail"),
    path(f"{_TASK}/panel/", task_entry(views.PanelView.as_view()), name="panel"),
    path(f"{_TASK}/card/", task_entry(views.CardView.as_view()), name="card"),
    path(f"{_TASK}/advance/", task_entry(views.AdvanceView.as_view()), name="advance"),
    path(f"{_TASK}/cancel/", task_entry(views.CancelView.as_view()), name="cancel"),
    path(f"{_TASK}/pause/", task_entry(views.PauseView.as_view()), name="pause"),
    path(f"{_TASK}/resume/", task_entry(views.ResumeView.as_view()), name="resume"),
    path(f"{_TASK}/answer/", task_entry(views.AnswerView.as_view()), name="answer"),
    path(f"{_TASK}/events/<int:seq>/replay/", task_entry(timeline.EventReplayView.as_view()), name="event-replay"),
    path(f"{_TASK}/timeline.<slug:kind>", task_entry(timeline.ExportView.as_view()), name="timeline"),
    path(f"{_TASK}/rename/", task_entry(views.RenameView.as_view()), name="rename"),
    path(f"{_TASK}/archive/", task_entry(views.ArchiveView.as_view()), name="archive"),
    path(f"{_TASK}/unarchive/", task_entry(views.UnarchiveView.as_view()), name="unarchive"),
    path(f"{_TASK}/download/", task_entry(views.DownloadView.as_view()), name="download"),
    path(
        f"{_PROMPT}/prompt-sidebar/<uuid:prompt_id>/",
        task_entry(fragments.PromptSidebarView.as_view()),
        name="prompt-sidebar",
    ),
    path(f"{_PROMPT}/titles/", task_entry(fragments.TitlesView.as_view()), name="titles"),
    path(f"{_PROMPT}/for-prompt/<uuid:prompt_id>/", task_entry(fragments.ForPromptView.as_view()), name="for-prompt"),
]

urlpatterns: list[URLPattern | URLResolver] = [path("", include((_pages, "tasks")))]
