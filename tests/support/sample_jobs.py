"""Jobs that only tests send, to a real worker."""

import logging
from uuid import UUID

from celery import shared_task
from django.db import transaction

from accounts_app.models import ApiKey
from accounts_app.services.audit import audit_record
from accounts_app.services.jobs import system_task, tenant_task

QUEUE = "sample"
logger = logging.getLogger(__name__)


@tenant_task(queue=QUEUE)
def note(*, word: str) -> None:
    """Leave an audit row and a log line."""
    logger.info("sample.noted", extra={"word": word})
    with transaction.atomic():
        audit_record(action="sample.note", data={"word": word, "keys": ApiKey.objects.count()})


@tenant_task(queue=QUEUE)
def note_through_another(*, word: str, organization: str) -> None:
    """Send `note` on, from inside a job."""
    note.delay(organization_id=organization, user_id=None, word=word)


@tenant_task(queue=QUEUE)
def take(*, api_key: str) -> None:
    """Try to revoke a key, whoever's it is."""
    with transaction.atomic():
        taken = ApiKey.objects.filter(pk=UUID(api_key)).update(name="taken")
        audit_record(action="sample.take", data={"taken": taken})


@tenant_task(queue=QUEUE)
def fail(*, word: str) -> None:
    """Write, then fail."""
    with transaction.atomic():
        audit_record(action="sample.fail")
        raise ZeroDivisionError(word)


@system_task("sample sweep", queue=QUEUE)
def sweep(*, word: str) -> None:
    """Leave an audit row of the system's."""
    with transaction.atomic():
        audit_record(action="sample.sweep", data={"word": word})


@shared_task
def careless(*, word: str) -> None:
    """A task made without our decorators: it works for nobody, so it sees nobody's keys."""
    logger.info("sample.careless", extra={"word": word, "keys": ApiKey.objects.count()})
