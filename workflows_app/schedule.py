"""What beat does for this room."""

BEAT_SCHEDULE = {
    # A tick that waited longer than its successor is worth nothing.
    "workflows-reap": {"task": "workflows.reap", "schedule": 1.0, "options": {"queue": "work", "expires": 2.0}},
    # Hourly, though months end monthly: what was not finished, or the storage did not take, goes on soon.
    "workflows-archive": {"task": "workflows.archive", "schedule": 3600.0, "options": {"queue": "work"}},
    # Alarms ring by themselves, see workflows_app.services.alarms; this is for the times when one did not.
    "workflows-sweep-schedules": {
        "task": "workflows.sweep_schedules",
        "schedule": 10.0,
        "options": {"queue": "work", "expires": 10.0},
    },
    # Hourly: Redis keeps the events of a silent stream for a day.
    "workflows-tidy-streams": {"task": "workflows.tidy_streams", "schedule": 3600.0, "options": {"queue": "work"}},
    # A missed tick is no loss: the next one goes on from the watermark.
    "workflows-statistics": {
        "task": "workflows.statistics",
        "schedule": 15.0,
        "options": {"queue": "work", "expires": 15.0},
    },
    "workflows-prune-statistics": {
        "task": "workflows.prune_statistics",
        "schedule": 3600.0,
        "options": {"queue": "work"},
    },
}
