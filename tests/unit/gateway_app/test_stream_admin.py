import uuid

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts_app.admin_base import ReadOnlyAdmin
from gateway_app.models import LiveStream
from gateway_app.services.streams import StreamPublisher, stream_open
from tests.factories.accounts import person

pytestmark = pytest.mark.django_db


def test_operators_see_a_stream_but_not_its_words() -> None:
    someone = person()
    with someone.at_work():
        publisher = StreamPublisher(stream_open(kind="run", subject_id=uuid.uuid4()))
        publisher.delta("draft", "a private word")
        publisher.close({"note": "a private word"})
    operator = person(is_operator=True).client()
    assert operator.get(reverse("admin:gateway_app_livestream_changelist")).status_code == 200
    page = operator.get(reverse("admin:gateway_app_livestream_change", args=[publisher.stream_id]))
    assert page.status_code == 200
    assert "a private word" not in page.content.decode()
    assert isinstance(admin.site._registry[LiveStream], ReadOnlyAdmin)
