"""The Celery application. Queues: ``model`` (I/O-bound, threads), ``work`` (CPU-bound, prefork)."""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from celery import Celery
from celery.signals import worker_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import heartbeats  # noqa: F401 - connects to the workers' signals
from config.redis_broker import redis_broker_use

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
redis_broker_use()

app = Celery("deepspace")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def refuse_privileged_role(**_signal: Any) -> None:
    """Do not work with a database role that sees past the walls between tenants."""
    from accounts_app.tenancy import role

    try:
        role.refuse_privileged_role()
    except ImproperlyConfigured as refused:
        raise SystemExit(str(refused)) from refused  # Celery would only log any other exception


@worker_init.connect
def tidy_metrics(**_signal: Any) -> None:
    """Gather what the workers before this one counted."""
    from config.metrics import metrics_tidy

    metrics_tidy()


@app.on_after_configure.connect
def collect_schedules(sender: Celery, **_signal: Any) -> None:
    """Give beat what each room's ``schedule`` module asks for; rooms without one have nothing to do by the clock."""
    rooms = [name for name in settings.INSTALLED_APPS if name.endswith("_app")]
    for room in rooms:
        if find_spec(f"{room}.schedule") is not None:
            sender.conf.beat_schedule.update(import_module(f"{room}.schedule").BEAT_SCHEDULE)
