"""Sign-up, sign-in and out, a forgotten password, the second factor: through real requests."""

import re
from typing import Any
from uuid import UUID

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail
from django.core.cache import cache
from django.db.models.signals import pre_save
from django.test import Client

from accounts_app.models import AuditLog, Membership, Organization, Role, User
from accounts_app.services.users import user_create
from accounts_app.signals import organization_created, user_signed_up
from accounts_app.tenancy.context import operator_atomic
from tests.factories.accounts import PASSWORD, person

pytestmark = pytest.mark.django_db
SIGN_UP = {"email": "Ada@Example.com", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    """Attempts of other tests do not count here."""
    cache.clear()


def signed_in(client: Client) -> bool:
    return client.get("/settings/keys/").status_code == 200


def test_sign_up_makes_account_and_personal_organization_and_signs_in(client: Client) -> None:
    response = client.post("/accounts/signup/", SIGN_UP)
    assert (response.status_code, response["Location"]) == (302, "/")
    user = User.objects.get(email="ada@example.com")
    with operator_atomic("test"):
        membership = Membership.objects.select_related("organization").get(user=user)
        actions = set(AuditLog.objects.filter(user_id=user.pk).values_list("action", flat=True))
    assert (membership.role, membership.organization.is_personal, membership.organization.name) == (
        Role.OWNER,
        True,
        "ada",
    )
    assert actions >= {"organization.create", "user.login"}
    assert signed_in(client)


def test_sign_up_tells_the_rooms_above_once(client: Client) -> None:
    told: list[tuple[UUID, UUID]] = []

    def receive(organization_id: UUID, user_id: UUID, **_signal: Any) -> None:
        told.append((organization_id, user_id))

    user_signed_up.connect(receive)
    try:
        client.post("/accounts/signup/", SIGN_UP)
    finally:
        user_signed_up.disconnect(receive)
    user = User.objects.get()
    with operator_atomic("test"):
        assert told == [(Membership.objects.get(user=user).organization_id, user.pk)]


def test_when_the_organization_cannot_be_made_there_is_no_account_either(client: Client) -> None:
    def fail(**_signal: Any) -> None:
        raise ZeroDivisionError

    organization_created.connect(fail)
    client.raise_request_exception = False
    try:
        response = client.post("/accounts/signup/", SIGN_UP)
    finally:
        organization_created.disconnect(fail)
    assert response.status_code == 500
    assert not User.objects.exists()
    with operator_atomic("test"):
        assert not Organization.objects.filter(name="ada").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"email": ""}, "This field is required"),
        ({"email": "no address"}, "valid email"),
        ({"password1": "123", "password2": "123"}, "too short"),
        ({"password2": "something else entirely"}, "same password"),
    ],
)
def test_sign_up_says_what_is_wrong(client: Client, change: dict[str, str], words: str) -> None:
    response = client.post("/accounts/signup/", SIGN_UP | change)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert not User.objects.exists()


def test_sign_up_refuses_an_address_that_has_an_account(client: Client) -> None:
    person("ada@example.com")
    response = client.post("/accounts/signup/", SIGN_UP)
    assert response.status_code == 200
    assert User.objects.count() == 1


def test_of_two_sign_ups_with_one_address_at_once_the_slower_is_told(client: Client) -> None:
    def be_faster(instance: User, **_signal: Any) -> None:
        pre_save.disconnect(be_faster, sender=User)
        user_create(email=instance.email)

    pre_save.connect(be_faster, sender=User)
    try:
        response = client.post("/accounts/signup/", SIGN_UP)
    finally:
        pre_save.disconnect(be_faster, sender=User)
    assert response.status_code == 400
    assert "has an account already" in response.content.decode()


def test_sign_in_and_out(client: Client) -> None:
    person("ada@example.com", password=PASSWORD)
    response = client.post("/accounts/login/", {"login": "ADA@example.com", "password": PASSWORD})
    assert response.status_code == 302
    assert signed_in(client)
    assert client.get("/accounts/logout/").status_code == 200
    assert signed_in(client)
    client.post("/accounts/logout/")
    assert not signed_in(client)


def test_sign_in_brings_the_page_that_was_asked_for(client: Client) -> None:
    person("ada@example.com", password=PASSWORD)
    asked = client.get("/settings/keys/")
    assert asked["Location"] == "/accounts/login/?next=/settings/keys/"
    page = client.get(asked["Location"]).content.decode()
    assert 'value="/settings/keys/"' in page
    data = {"login": "ada@example.com", "password": PASSWORD, "next": "/settings/keys/"}
    assert client.post("/accounts/login/", data)["Location"] == "/settings/keys/"


def test_wrong_passwords_are_limited_with_a_friendly_page(client: Client) -> None:
    person("ada@example.com", password=PASSWORD)
    wrong = {"login": "ada@example.com", "password": "wrong"}
    pages = [client.post("/accounts/login/", wrong).content.decode() for _ in range(6)]
    assert "Too many failed login attempts" in pages[-1]
    assert client.post("/accounts/login/", wrong | {"password": PASSWORD}).status_code == 200
    assert not signed_in(client)


def test_too_many_sign_ups_from_one_place_get_the_429_page(client: Client) -> None:
    answers = [client.post("/accounts/signup/", {"email": "x"}) for _ in range(21)]
    assert answers[-1].status_code == 429
    assert answers[-1]["X-Trace-Id"] in answers[-1].content.decode()


def test_an_inactive_account_stays_out(client: Client) -> None:
    user = person("ada@example.com", password=PASSWORD).user
    User.objects.filter(pk=user.pk).update(is_active=False)
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    assert not signed_in(client)


def test_a_forgotten_password_is_set_anew_from_the_mail(client: Client) -> None:
    person("ada@example.com", password=PASSWORD)
    assert client.post("/accounts/password/reset/", {"email": "ada@example.com"}).status_code == 302
    link = re.search(r"http://testserver(/\S+)", str(mail.outbox[-1].body))
    assert link
    form = client.get(link[1], follow=True)
    address = form.redirect_chain[-1][0]
    new = "an entirely new password"
    assert client.post(address, {"password1": new, "password2": new}).status_code == 302
    client.post("/accounts/login/", {"login": "ada@example.com", "password": new})
    assert signed_in(client)


def test_a_reset_for_an_unknown_address_looks_the_same(client: Client) -> None:
    response = client.post("/accounts/password/reset/", {"email": "nobody@example.com"})
    assert (response.status_code, response["Location"]) == (302, "/accounts/password/reset/done/")


def test_the_password_is_changed_only_with_the_old_one(client: Client) -> None:
    person("ada@example.com", password=PASSWORD)
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    new = {"password1": "an entirely new password", "password2": "an entirely new password"}
    assert client.post("/accounts/password/change/", {"oldpassword": "wrong", **new}).status_code == 200
    assert client.post("/accounts/password/change/", {"oldpassword": PASSWORD, **new}).status_code == 302


def totp_code(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time())))))


def activated_totp(client: Client) -> str:
    """Return the secret of the authenticator that the signed-in person has just activated."""
    asked = client.get("/accounts/2fa/totp/activate/")
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    client.post(asked["Location"], {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/")
    assert page.status_code == 200
    assert "data:image/svg+xml" in page.content.decode()
    secret = page.context["form"].secret
    response = client.post("/accounts/2fa/totp/activate/", {"code": totp_code(secret)})
    assert response["Location"] == "/accounts/2fa/recovery-codes/"
    return str(secret)


def test_the_second_factor_is_asked_for_and_recovery_codes_work_once(client: Client) -> None:
    user = person("ada@example.com", password=PASSWORD).user
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    activated_totp(client)
    shown = client.get("/accounts/2fa/recovery-codes/").content.decode()
    code = re.search(r'id="recovery-codes"[^>]*>(\S+)', shown)
    assert code
    assert client.get("/accounts/2fa/recovery-codes/download/").status_code == 200
    assert Authenticator.objects.filter(user=user).count() == 2

    for allowed in (True, False):
        browser = Client()
        response = browser.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
        assert response["Location"] == "/accounts/2fa/authenticate/"
        assert not signed_in(browser)
        browser.post("/accounts/2fa/authenticate/", {"code": code[1]})
        assert signed_in(browser) is allowed


def test_the_authenticators_code_signs_in(client: Client) -> None:
    person("ada@example.com", password=PASSWORD)
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    secret = activated_totp(client)
    cache.clear()  # the code just used to activate would count as used already
    browser = Client()
    browser.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    browser.post("/accounts/2fa/authenticate/", {"code": totp_code(secret)})
    assert signed_in(browser)


def test_a_stored_authenticator_secret_is_not_readable(client: Client) -> None:
    user = person("ada@example.com", password=PASSWORD).user
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    secret = activated_totp(client)
    stored = Authenticator.objects.get(user=user, type="totp").data["secret"]
    assert secret not in stored
    assert get_adapter().decrypt(stored) == secret


def test_turning_the_second_factor_off_after_a_while_asks_again_who_is_there(client: Client) -> None:
    person("ada@example.com", password=PASSWORD)
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    activated_totp(client)
    session = client.session
    session["account_authentication_methods"] = [
        {**method, "at": method["at"] - 3600} for method in session["account_authentication_methods"]
    ]
    session.save()
    response = client.get("/accounts/2fa/totp/deactivate/")
    assert response.status_code == 302
    assert "reauthenticate" in response["Location"]


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/login/",
        "/accounts/signup/",
        "/accounts/password/reset/",
        "/accounts/password/reset/done/",
        "/accounts/inactive/",
    ],
)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_doors_open_in_both_languages_without_inline_code(client: Client, path: str, language: str) -> None:
    page = client.get(path, headers={"Accept-Language": language})
    text = page.content.decode()
    assert page.status_code == 200
    assert f'lang="{language}"' in text
    assert not re.search(r"\son\w+=|\sstyle=|<script>", text)


@pytest.mark.parametrize(
    "path", ["/accounts/email/", "/accounts/password/change/", "/accounts/2fa/", "/accounts/logout/"]
)
def test_account_pages_open_for_the_signed_in(path: str) -> None:
    assert person("ada@example.com", password=PASSWORD).client().get(path).status_code == 200


def test_the_language_of_the_account_comes_back_at_sign_in(client: Client) -> None:
    signed = person("ada@example.com", password=PASSWORD)
    signed.client().post("/i18n/setlang/", {"language": "zh-hans", "next": "/"})
    assert User.objects.get(pk=signed.id).language == "zh-hans"
    response = client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    assert response.cookies["django_language"].value == "zh-hans"


def test_an_unknown_language_changes_nothing() -> None:
    signed = person()
    signed.client().post("/i18n/setlang/", {"language": "tlh", "next": "/"})
    assert User.objects.get(pk=signed.id).language == ""
