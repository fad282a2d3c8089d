"""What this room does by the clock; merged into the beat schedule by config.celery."""

from typing import Any

from celery.schedules import crontab

# Seconds. A leaked hold keeps its money for at most this much longer than it asked for.
EXPIRE_HOLDS_EVERY = 30.0
# Seconds after which people hear of a budget at its threshold, at most.
NOTIFY_BUDGETS_EVERY = 60.0
# Answers kept for Idempotency-Keys are past their day at most this much longer; nobody is given them meanwhile.
FORGET_ANSWERS_EVERY = 900.0
# UTC. By then providers have closed the day before.
RECONCILE_AT = crontab(hour="3", minute="17")

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "billing-expire-holds": {"task": "billing_app.tasks.expire_holds", "schedule": EXPIRE_HOLDS_EVERY},
    "billing-forget-answers": {"task": "billing_app.tasks.forget_answers", "schedule": FORGET_ANSWERS_EVERY},
    "billing-notify-budgets": {"task": "billing_app.tasks.notify_budgets", "schedule": NOTIFY_BUDGETS_EVERY},
    "billing-reconcile": {"task": "billing_app.tasks.reconcile", "schedule": RECONCILE_AT},
}
