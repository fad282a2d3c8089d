"""No secret gets into a log line, whatever brought it there."""

import json
import logging
import sys

import pytest
from django.conf import settings

from accounts_app.logs import JsonFormatter
from accounts_app.redaction import HIDDEN, redact

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl"
CANARIES = [
    ("key of ours", "dsk_c4n4ryC4N4RY0123456789", "c4n4ryC4N4RY0123456789"),
    ("key of OpenAI", "sk-proj-c4n4ryC4N4RY0123456789", "c4n4ryC4N4RY0123456789"),
    ("bearer", "Authorization: Bearer c4n4ry.opaque", "c4n4ry"),
    ("basic", "authorization: basic YzRuNHJ5OmM0bjRyeQ==", "YzRuNHJ5"),
    ("JWT", f"token was {TOKEN} indeed", "c2lnbmF0dXJl"),
    ("address of a database", "postgres://app:c4n4ry%21@db:5432/x", "c4n4ry"),
    ("address of Redis", "redis://:c4n4ry@cache:6379/0", "c4n4ry"),
    ("JSON field", '{"api_key": "c4n4ry", "model": "m"}', "c4n4ry"),
    ("Python's repr", "{'password': 'c4n4ry'}", "c4n4ry"),
    ("JSON in JSON", json.dumps({"body": json.dumps({"password": "c4n4ry"})}), "c4n4ry"),
    ("cookie", "cookie: sessionid=c4n4ry; theme=dark", "c4n4ry"),
    ("query string", "/x?api_key=c4n4ry&page=2", "c4n4ry"),
]
PLAIN = [
    "request.finished",
    "used 12 tokens of the token budget",
    "scikit: sk-learn",
    '{"input_tokens": 12, "path": "/api/keys/", "url": "https://example.com/a:b"}',
]


@pytest.mark.parametrize(("text", "secret"), [case[1:] for case in CANARIES], ids=[case[0] for case in CANARIES])
def test_what_looks_like_a_secret_is_taken_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_words_stay(text: str) -> None:
    assert redact(text) == text


def test_secrets_of_this_system_are_known_by_their_value() -> None:
    assert redact(f"signed with {settings.SECRET_KEY}.") == f"signed with {HIDDEN}."
    assert str(settings.DATABASES["default"]["PASSWORD"]) not in redact(str(settings.DATABASES))


@pytest.mark.parametrize(("text", "secret"), [case[1:] for case in CANARIES], ids=[case[0] for case in CANARIES])
def test_a_log_line_has_no_secret_in_message_fields_or_exception(text: str, secret: str) -> None:
    try:
        _fail(text)
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed: %s", (text,), sys.exc_info())
    record.detail = {"given": text}
    line = JsonFormatter().format(record)
    fields = json.loads(line)
    assert {"message", "detail", "exception"} <= fields.keys()
    assert secret not in line


def _fail(text: str) -> None:
    raise RuntimeError(text)
