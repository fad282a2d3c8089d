"""API keys of providers: encrypted, never shown, rotated."""

import logging
import re
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from pytest_django import Settings

from accounts_app.exceptions import InvalidInput
from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic
from gateway_app.models import Provider
from gateway_app.services.routes import endpoint_at, key_source
from gateway_app.services.secrets import credential_of, credential_set, secrets_rotate

pytestmark = pytest.mark.django_db

SECRET = "sk-a-very-secret-key-9876"


def _provider(**fields: object) -> Provider:
    return Provider.objects.create(key=uuid4().hex, name="P", base_url="https://models.example.com/v1", **fields)


def _stored(secret: str = SECRET, **fields: object) -> Provider:
    provider = _provider(**fields)
    with operator_atomic("test"):
        credential_set(provider=provider, secret=secret)
    provider.refresh_from_db()
    return provider


def test_a_stored_key_is_encrypted_and_used() -> None:
    provider = _stored()
    assert SECRET not in provider.credential
    assert (provider.credential_hint, credential_of(provider), key_source(provider)) == ("9876", SECRET, "stored")
    endpoint = endpoint_at(provider)
    assert endpoint is not None
    assert endpoint.api_key == SECRET
    assert SECRET not in repr(endpoint)


def test_a_short_key_gets_no_hint() -> None:
    assert _stored("abc-123").credential_hint == ""


def test_every_change_is_audited_without_the_key() -> None:
    provider = _stored()
    with operator_atomic("test"):
        credential_set(provider=provider, secret="")
        rows = AuditLog.objects.filter(target_id=str(provider.pk)).order_by("created_at")
        assert [row.action for row in rows] == ["provider.credential_set", "provider.credential_remove"]
        assert SECRET not in "".join(str(row.data) for row in rows)
    assert endpoint_at(provider) is not None  # an endpoint without a key may need none
    assert (provider.credential, key_source(provider)) == ("", "")


def test_a_setting_comes_before_the_stored_key(settings: Settings) -> None:
    settings.DEEPSEEK_API_KEY = "from-the-environment"
    provider = _stored(api_key_setting="DEEPSEEK_API_KEY")
    endpoint = endpoint_at(provider)
    assert endpoint is not None
    assert (endpoint.api_key, key_source(provider)) == ("from-the-environment", "DEEPSEEK_API_KEY")


def test_an_endpoint_named_by_a_setting_never_sees_the_stored_key(settings: Settings) -> None:
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "http://127.0.0.1:9/v1", ""
    provider = _stored(base_url_setting="OPENAI_BASE_URL", api_key_setting="OPENAI_API_KEY")
    endpoint = endpoint_at(provider)
    assert endpoint is not None
    assert (endpoint.url, endpoint.api_key) == ("http://127.0.0.1:9/v1", "none")


@pytest.mark.parametrize("secret", ["two words", "schlüssel", "line\nbreak"])
def test_what_cannot_stand_in_a_header_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput), operator_atomic("test"):
        credential_set(provider=_provider(), secret=secret)


def test_a_key_in_clear_text_is_refused_by_the_database() -> None:
    provider = _provider()
    with pytest.raises(IntegrityError, match="provider_credential_encrypted"), transaction.atomic():
        Provider.objects.filter(pk=provider.pk).update(credential=SECRET)


def test_keys_are_rotated_from_the_derived_one_to_the_first_of_the_list(settings: Settings) -> None:
    provider = _stored()
    before = provider.credential
    settings.CREDENTIALS_KEY = ["a" * 50]
    assert credential_of(provider) == SECRET
    out = StringIO()
    call_command("rotate_credentials", stdout=out)
    # Other tests of this database may have left some too.
    assert re.match(r"[1-9]\d* stored API keys are encrypted under the first key\.", out.getvalue())
    provider.refresh_from_db()
    assert provider.credential != before
    # Now the key derived from DJANGO_SECRET_KEY is no longer needed, and a newer one can be put before it.
    settings.SECRET_KEY = "another" * 10
    settings.CREDENTIALS_KEY = ["b" * 50, "a" * 50]
    assert credential_of(provider) == SECRET
    with operator_atomic("test"):
        assert secrets_rotate() >= 1
        assert AuditLog.objects.filter(action="credentials.rotate").count() == 2
    provider.refresh_from_db()
    settings.CREDENTIALS_KEY = ["b" * 50]
    assert credential_of(provider) == SECRET


def test_a_lost_encryption_key_takes_down_its_provider_only(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    provider = _stored()
    settings.SECRET_KEY = "another" * 10
    with caplog.at_level(logging.WARNING):
        assert (endpoint_at(provider), key_source(provider)) == (None, "")
    assert provider.key in caplog.text
    assert provider.credential not in caplog.text
    with pytest.raises(CommandError, match=provider.name):
        call_command("rotate_credentials")


def test_no_rotation_is_half_done(settings: Settings) -> None:
    readable, lost = _stored(), _stored()
    Provider.objects.filter(pk=lost.pk).update(credential="gAAAAbroken")
    settings.CREDENTIALS_KEY = ["a" * 50]
    with pytest.raises(CommandError):
        call_command("rotate_credentials")
    before = readable.credential
    readable.refresh_from_db()
    assert readable.credential == before
