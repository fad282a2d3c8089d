"""Every refusal has the same shape for programs and the same page for people, with the trace id on it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from accounts_app.exceptions import Conflict, FieldError, InvalidInput, NotFound
from accounts_app.models import AuditLog
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import operator_atomic
from tests.factories.accounts import Person, person

RAISED: dict[str, Exception] = {
    "bad": BadRequest("nonsense"),
    "suspicious": SuspiciousOperation("nonsense"),
    "forbidden": PermissionDenied(),
    "conflict": Conflict(),
    "database": OperationalError("the connection is closed"),
    "redis": RedisConnectionError("refused"),
    "broker": BrokerError("refused"),
    "bug": ZeroDivisionError("nobody foresaw this <script>"),
}


def raising(request: HttpRequest, kind: str) -> HttpResponse:
    audit_record(action=f"test.{kind}")
    raise RAISED[kind]


async def raising_async(request: HttpRequest, kind: str) -> HttpResponse:
    raise RAISED[kind]


class Twice(SimpleRateThrottle):
    rate = "1/hour"
    scope = "test"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return f"throttle-{request.user.pk}"


class ThrottledView(APIView):
    throttle_classes = [Twice]

    def get(self, request: Request) -> Response:
        return Response({})


class RaisingView(APIView):
    def get(self, request: Request, kind: str) -> Response:
        audit_record(action=f"test.{kind}")
        raise RAISED[kind]

    def post(self, request: Request, kind: str) -> Response:
        raise InvalidInput(details=(FieldError("steps[0].name", "is missing"),))


@require_POST
def only_post(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("raise/<str:kind>/", raising),
    path("raise-async/<str:kind>/", raising_async),
    path("only-post/", only_post),
    path("api/raise/<str:kind>/", RaisingView.as_view()),
    path("api/throttled/", ThrottledView.as_view()),
    path("", include("config.urls")),
]
handler400 = "accounts_app.web.errors.bad_request"
handler403 = "accounts_app.web.errors.forbidden"
handler404 = "accounts_app.web.errors.not_found"
handler500 = "accounts_app.web.errors.server_error"

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
TRACE = "0123456789abcdef0123456789abcdef"
STATUS = {
    "bad": 400,
    "suspicious": 400,
    "forbidden": 403,
    "conflict": 409,
    "database": 503,
    "redis": 503,
    "broker": 503,
    "bug": 500,
}


@pytest.fixture
def owner() -> Person:
    return person()


@pytest.fixture
def browser(owner: Person) -> Client:
    return owner.client(raise_request_exception=False)


@pytest.fixture
def api(owner: Person) -> Client:
    client = owner.api()
    client.raise_request_exception = False
    return client


def error_of(response: Any) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"code", "message", "details", "trace_id"}
    assert body["error"]["trace_id"] == response["X-Trace-Id"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize("kind", RAISED)
def test_a_page_says_what_happened_and_shows_the_trace_id(browser: Client, kind: str) -> None:
    response = browser.get(f"/raise/{kind}/", headers={"X-Trace-Id": TRACE})
    page = response.content.decode()
    assert response.status_code == STATUS[kind]
    assert f'<code id="trace-id">{TRACE}</code>' in page
    assert 'data-copy="#trace-id"' in page
    assert "nobody foresaw" not in page
    assert response["X-Trace-Id"] == TRACE
    assert "Retry-After" in response if STATUS[kind] == 503 else "Retry-After" not in response


@pytest.mark.parametrize("kind", RAISED)
def test_an_error_leaves_nothing_half_written(browser: Client, kind: str) -> None:
    browser.get(f"/raise/{kind}/")
    browser.get(f"/api/raise/{kind}/")
    with operator_atomic("test"):
        assert not AuditLog.objects.filter(action=f"test.{kind}").exists()


@pytest.mark.parametrize("kind", ["conflict", "database", "bug", "bad"])
def test_asynchronous_views_answer_alike(browser: Client, kind: str) -> None:
    assert browser.get(f"/raise-async/{kind}/").status_code == STATUS[kind]


@pytest.mark.parametrize("kind", sorted(RAISED.keys() - {"bad", "suspicious"}))
def test_the_api_answers_in_the_error_format(api: Client, kind: str) -> None:
    response = api.get(f"/api/raise/{kind}/", headers={"X-Trace-Id": TRACE})
    assert response.status_code == STATUS[kind]
    assert error_of(response)["trace_id"] == TRACE


@pytest.mark.parametrize("path", ["/api/nothing/", "/api/keys/00000000-0000-4000-8000-000000000000/", "/api/tasks//x"])
def test_an_unknown_address_of_the_api_is_json_too(api: Client, path: str) -> None:
    response = api.get(path)
    assert response.status_code == 404
    assert error_of(response)["code"] == NotFound.code


def test_fields_at_fault_are_named(api: Client) -> None:
    response = api.post("/api/raise/x/", {}, content_type="application/json")
    assert error_of(response)["details"] == [{"field": "steps[0].name", "message": "is missing"}]
    response = api.post("/api/keys/", {"expires_at": "soon"}, content_type="application/json")
    assert [detail["field"] for detail in error_of(response)["details"]] == ["name", "expires_at"]


@pytest.mark.parametrize(
    ("method", "body", "content_type", "status", "code"),
    [
        ("put", "{}", "application/json", 405, "method_not_allowed"),
        ("post", "{", "application/json", 400, "parse_error"),
        ("post", "\xff", "application/json", 400, "parse_error"),
        ("post", "[]", "application/json", 400, "invalid_input"),
        ("post", "name=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
def test_requests_that_cannot_be_read(
    api: Client, method: str, body: str, content_type: str, status: int, code: str
) -> None:
    response = api.generic(method.upper(), "/api/keys/", body.encode("latin-1"), content_type=content_type)
    assert response.status_code == status
    assert error_of(response)["code"] == code


def test_an_answer_that_is_not_spoken_is_refused(api: Client) -> None:
    assert error_of(api.get("/api/keys/", headers={"Accept": "text/csv"}))["code"] == "not_acceptable"


def test_anonymous_callers_are_told_how_to_sign_in(client: Client) -> None:
    response = client.get("/api/keys/")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert error_of(response)["code"] == "not_authenticated"


@pytest.mark.parametrize("key", ["dsk_00000000_wrong", "", "ü"])
def test_a_wrong_key_is_refused(client: Client, key: str) -> None:
    response = client.get("/api/keys/", headers={"Authorization": f"Bearer {key}"})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert error_of(response)["code"] == "not_authenticated"


def test_too_many_calls_are_told_when_to_come_back(api: Client) -> None:
    assert api.get("/api/throttled/").status_code == 200
    response = api.get("/api/throttled/")
    assert response.status_code == 429
    assert error_of(response)["code"] == "throttled"
    assert int(response["Retry-After"]) > 0


def test_a_session_without_the_csrf_token_is_named_as_such(owner: Person) -> None:
    strict = owner.client(enforce_csrf_checks=True)
    response = strict.post("/api/keys/", {"name": "x"}, content_type="application/json")
    assert (response.status_code, error_of(response)["code"]) == (403, "csrf_failed")
    page = strict.post("/settings/keys/", {"name": "x"})
    assert page.status_code == 403
    assert "has expired" in page.content.decode()


def test_a_key_needs_no_csrf_token(owner: Person) -> None:
    strict = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {owner.key()}"})
    assert strict.post("/api/keys/", {"name": "x"}, content_type="application/json").status_code == 201


def test_a_page_that_does_not_answer_to_a_method_says_so(browser: Client) -> None:
    response = browser.get("/only-post/")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert response["X-Trace-Id"] in response.content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_not_found_page_speaks_the_readers_language(client: Client, language: str) -> None:
    page = client.get("/no-such-page/", headers={"Accept-Language": language})
    assert page.status_code == 404
    assert f'<html lang="{language}"' in page.content.decode()


def test_a_client_that_asks_for_json_gets_json_from_pages_too(client: Client) -> None:
    error_of(client.get("/no-such-page/", headers={"Accept": "application/json"}))


@pytest.fixture
def hosts() -> Iterator[None]:
    with override_settings(ALLOWED_HOSTS=["example.com"]):
        yield


@pytest.mark.usefixtures("hosts")
def test_a_foreign_host_header_gets_the_bad_request_page(client: Client) -> None:
    response = client.get("/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert response["X-Trace-Id"] in response.content.decode()
