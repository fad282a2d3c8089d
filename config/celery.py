"""The Celery application. Queues: ``model`` (I/O-bound, threads), ``work`` (CPU-bound, prefork)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("deepspace")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
