from django.urls import URLPattern, path

from workflows_app.api import schedules

_one = "v1/schedules/<uuid:schedule_id>"

urlpatterns: list[URLPattern] = [
    path("v1/schedules", schedules.SchedulesView.as_view(), name="schedules"),
    path("v1/schedules/preview", schedules.SchedulePreviewView.as_view(), name="schedules-preview"),
    path(_one, schedules.ScheduleView.as_view(), name="schedule"),
    path(f"{_one}/pause", schedules.SchedulePauseView.as_view(), name="schedule-pause"),
    path(f"{_one}/resume", schedules.ScheduleResumeView.as_view(), name="schedule-resume"),
    path(f"{_one}/run", schedules.ScheduleRunView.as_view(), name="schedule-run"),
]
