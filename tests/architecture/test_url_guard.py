"""Every address asks who is there, unless it stands on a short list with a reason."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.support.routes import Route, all_routes

OPEN_TO_ALL = {
    "account_login": "how people get in",
    "account_logout": "signing out twice is no harm",
    "account_inactive": "says that an account is closed",
    "account_signup": "how people begin",
    "account_email_verification_sent": "says that a mail was sent",
    "account_confirm_email": "the link in that mail carries its own secret",
    "account_reset_password": "how people get in without a password",
    "account_reset_password_done": "says that a mail was sent",
    "account_reset_password_from_key": "the link in that mail carries its own secret",
    "account_reset_password_from_key_done": "says that it worked",
    "account_confirm_login_code": "sends people without a pending sign-in away",
    "admin:logout": "signing out twice is no harm",
    "admin:jsi18n": "Django's own words for the admin's scripts, no data",
    "tasks:home": "says what this is and where to sign in; no data",
    "accounts:invitation": "the link in the mail carries its own secret",
    "api-token": "how people's programs get in",
    "api-token-refresh": "the token in the body is the secret",
    "api-token-revoke": "the token in the body is the secret",
    "set_language": "anonymous people read too",
    "schema": "the API's description, no data",
    "template-schema": "the form of workflow documents, no data",
    "pack-schema": "the form of packs, no data",
    "api-docs": "the same to try out",
    "api-redoc": "the same to read",
}
REFUSALS = {401, 403, 404, 405}

GUARDED = [route for route in all_routes() if route.name not in OPEN_TO_ALL]


@pytest.mark.django_db
@pytest.mark.parametrize("route", GUARDED, ids=str)
@pytest.mark.parametrize("method", ["get", "post"])
def test_anonymous_callers_are_sent_to_sign_in_or_refused(route: Route, method: str) -> None:
    response = getattr(Client(), method)(route.path(), follow=False)
    if response.status_code in (301, 302):
        assert response["Location"].startswith((reverse("account_login"), "/admin/login/")), response["Location"]
    else:
        assert response.status_code in REFUSALS, f"{method.upper()} {route} answers {response.status_code} to anyone"


def test_the_list_of_open_addresses_names_only_addresses_that_exist() -> None:
    assert OPEN_TO_ALL.keys() <= {route.name for route in all_routes()}
