"""The row of a stream in Postgres: who may read it, and the whole once it is closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id, current_tenant
from gateway_app.models import LiveStream, LiveStreamStatus
from gateway_app.services.streams.events import StreamEvent


@dataclass(frozen=True)
class OpenStream:
    """A stream that nobody has closed yet, and whose it is."""

    id: UUID
    organization_id: UUID
    user_id: UUID | None


@transaction.atomic
def stream_open(*, kind: str, subject_id: UUID) -> UUID:
    """Open a stream of the bound organization for ``subject_id`` (a run) and return its id; raises TenantRequired."""
    stream = LiveStream.objects.create(
        organization_id=current_organization_id(), user_id=current_tenant().user_id, kind=kind, subject_id=subject_id
    )
    return stream.pk


@transaction.atomic
def stream_get(stream_id: UUID) -> LiveStream:
    """Return the bound organization's stream; raises NotFound for anything else."""
    stream = LiveStream.objects.filter(pk=stream_id, organization_id=current_organization_id()).first()
    if stream is None:
        raise NotFound
    return stream


@transaction.atomic
def stream_checkpoint(stream_id: UUID, events: Sequence[StreamEvent]) -> None:
    """Keep what was published so far; a stream that is closed, or kept further already, stays as it is."""
    if events:
        _open_rows(stream_id).filter(last_seq__lt=events[-1].seq).update(**_whole(events))


@transaction.atomic
def stream_close(stream_id: UUID, events: Sequence[StreamEvent], outcome: dict[str, Any]) -> bool:
    """Store the whole and close the row; False when it was closed already."""
    closing = {"status": LiveStreamStatus.CLOSED, "closed_at": timezone.now(), "outcome": outcome}
    return bool(_open_rows(stream_id).update(**_whole(events), **closing))


@transaction.atomic
def streams_open(*, before: datetime, after: UUID | None = None, limit: int = 200) -> list[OpenStream]:
    """Return streams that are still open and were opened before then, by id; go on ``after`` the last one's id.

    Of the bound organization, or of all in an operator context.
    """
    rows = LiveStream.objects.filter(status=LiveStreamStatus.OPEN, created_at__lt=before)
    if after is not None:
        rows = rows.filter(pk__gt=after)
    columns = rows.order_by("pk").values_list("pk", "organization_id", "user_id")[:limit]
    return [OpenStream(*row) for row in columns]


def _open_rows(stream_id: UUID) -> QuerySet[LiveStream]:
    rows = LiveStream.objects.filter(pk=stream_id, organization_id=current_organization_id())
    return rows.filter(status=LiveStreamStatus.OPEN)


def _whole(events: Sequence[StreamEvent]) -> dict[str, Any]:
    return {"events": [event.row() for event in events], "last_seq": events[-1].seq}
