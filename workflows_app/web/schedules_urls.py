from django.urls import path

from workflows_app.web import schedules

_ONE = "schedules/<uuid:schedule_id>"

urlpatterns = [
    path("schedules/", schedules.ListView.as_view(), name="list"),
    path("schedules/new/", schedules.NewView.as_view(), name="new"),
    path("schedules/preview/", schedules.PreviewView.as_view(), name="preview"),
    path(f"{_ONE}/", schedules.EditView.as_view(), name="edit"),
    path(f"{_ONE}/pause/", schedules.PauseView.as_view(), name="pause"),
    path(f"{_ONE}/resume/", schedules.ResumeView.as_view(), name="resume"),
    path(f"{_ONE}/run/", schedules.RunView.as_view(), name="run"),
    path(f"{_ONE}/remove/", schedules.RemoveView.as_view(), name="remove"),
]
