"""Tokens for people's programs: short, renewed once, and looked at with each request."""

import base64
import json
from typing import Any
from uuid import uuid4

import jwt
import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts_app.models import ApiSession, AuditLog, Membership, Role, User
from accounts_app.services.ip_rules import ip_rule_add
from accounts_app.services.members import member_remove, member_role_set
from accounts_app.services.tokens import tokens_issue
from accounts_app.tenancy.context import operator_atomic
from tests.factories.accounts import PASSWORD, Person, member_of, person, team

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_counters() -> None:
    cache.clear()


def ask(path: str, **body: Any) -> Any:
    return Client().post(f"/api/auth/{path}", body, content_type="application/json")


def sign_in(who: Person, **more: Any) -> Any:
    return ask("token", email=who.user.email, password=PASSWORD, **more)


def somebody() -> Person:
    return person(password=PASSWORD)


def status(access: str, path: str = "/api/keys/") -> int:
    return Client(headers={"Authorization": f"Bearer {access}"}).get(path).status_code


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def forged(key: str = "", algorithm: str = "HS256", **changed: Any) -> str:
    """Return an access token like a real one of a new person's, but for what is changed."""
    original = claims(tokens_issue(user=somebody().user).access)
    key = key or str(settings.SIMPLE_JWT["SIGNING_KEY"])
    return jwt.encode({**original, **changed}, key, algorithm=algorithm)


def test_a_password_gives_tokens_that_open_the_api_as_that_person() -> None:
    who = somebody()
    answer = sign_in(who)
    pair = answer.json()
    assert (answer.status_code, pair["organization"]) == (201, str(who.organization_id))
    assert (pair["access_expires_in"], pair["refresh_expires_in"]) == (600, 14 * 24 * 3600)
    # Both count from the moment of the sign-in; the second may change before the access token is written.
    assert claims(pair["access"])["exp"] - claims(pair["refresh"])["iat"] == 600
    program = Client(headers={"Authorization": f"Bearer {pair['access']}"})
    made = program.post("/api/keys/", {"name": "by token"}, content_type="application/json")
    assert made.status_code == 201
    assert program.get("/api/keys/").json()["results"][0]["owner"] == who.user.email


def test_a_token_opens_no_page() -> None:
    access = tokens_issue(user=person(is_operator=True).user).access
    program = Client(headers={"Authorization": f"Bearer {access}"})
    assert program.get("/settings/keys/").status_code == 302
    assert program.get("/admin/").status_code == 302


def test_it_is_for_the_oldest_organization_or_the_one_named_if_it_is_ones_own() -> None:
    owner, member = team(Role.VIEWER)
    member.user.set_password(PASSWORD)
    member.user.save()
    pair = sign_in(member, organization=str(owner.organization_id)).json()
    program = Client(headers={"Authorization": f"Bearer {pair['access']}"})
    assert pair["organization"] == str(owner.organization_id)
    assert program.post("/api/projects", {"name": "x"}, content_type="application/json").status_code == 403
    assert sign_in(member).json()["organization"] != str(owner.organization_id)
    assert sign_in(member, organization=str(person().organization_id)).status_code == 404


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"email": "nobody@example.com"}])
def test_a_wrong_address_and_a_wrong_password_get_the_same_answer(wrong: dict[str, str]) -> None:
    answer = ask("token", **{"email": somebody().user.email, "password": PASSWORD} | wrong)
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "The address or the password is wrong.")


def test_attempts_are_counted_also_for_those_who_write_other_addresses() -> None:
    who = somebody()
    answers = [
        Client(headers={"X-Forwarded-For": f"203.0.113.{n}"}).post(
            "/api/auth/token", {"email": who.user.email, "password": "wrong"}, content_type="application/json"
        )
        for n in range(8)
    ]
    assert answers[-1].status_code == 429
    assert sign_in(who).status_code == 429


def with_totp(who: Person) -> str:
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(who.user, secret)
    return str(secret)


def code_of(secret: str) -> str:
    counter = next(iter(totp.yield_hotp_counters_from_time()))
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


def test_a_second_factor_is_asked_for_and_its_code_works_once() -> None:
    who = somebody()
    secret = with_totp(who)
    asked = sign_in(who)
    assert (asked.status_code, asked.json()["error"]["code"]) == (401, "second_factor_required")
    assert sign_in(who, code="000000x").json()["error"]["code"] == "not_authenticated"
    code = code_of(secret)
    assert sign_in(who, code=code).status_code == 201
    assert sign_in(who, code=code).status_code == 401


def test_a_recovery_code_works_once_too() -> None:
    who = somebody()
    with_totp(who)
    RecoveryCodes.activate(who.user)
    code = Authenticator.objects.get(user=who.user, type="recovery_codes").wrap().get_unused_codes()[0]
    assert sign_in(who, code=code).status_code == 201
    assert sign_in(who, code=code).status_code == 401
    assert get_adapter().is_mfa_enabled(who.user)


def test_guessing_codes_is_counted() -> None:
    who = somebody()
    secret = with_totp(who)
    answers = [sign_in(who, code=f"{n:06}").status_code for n in range(12)]
    assert set(answers) <= {401, 429}
    assert answers[-1] == 429
    assert sign_in(who, code=code_of(secret)).status_code == 429


def test_a_refresh_token_gives_a_new_pair_and_works_once() -> None:
    first = sign_in(somebody()).json()
    second = ask("token/refresh", refresh=first["refresh"])
    assert second.status_code == 201
    assert status(second.json()["access"]) == 200
    third = ask("token/refresh", refresh=second.json()["refresh"])
    assert third.status_code == 201


def test_a_refresh_token_that_comes_again_ends_its_whole_chain_and_is_recorded() -> None:
    who = somebody()
    first, other = sign_in(who).json(), sign_in(who).json()
    second = ask("token/refresh", refresh=first["refresh"]).json()
    assert ask("token/refresh", refresh=first["refresh"]).status_code == 401
    assert ask("token/refresh", refresh=second["refresh"]).status_code == 401
    assert (status(second["access"]), status(first["access"]), status(other["access"])) == (401, 401, 200)
    with who.at_work():
        assert AuditLog.objects.filter(action="api_session.reuse").count() == 1


def test_revoking_ends_the_sign_in_at_once_and_only_that_one() -> None:
    who = somebody()
    mine, other = sign_in(who).json(), sign_in(who).json()
    assert ask("token/revoke", refresh=mine["refresh"]).status_code == 204
    assert ask("token/revoke", refresh=mine["refresh"]).status_code == 204
    assert ask("token/revoke", refresh="nonsense").status_code == 204
    assert (status(mine["access"]), status(other["access"])) == (401, 200)
    assert ask("token/refresh", refresh=mine["refresh"]).status_code == 401


def test_an_access_token_renews_nothing_and_a_refresh_token_opens_nothing() -> None:
    pair = sign_in(somebody()).json()
    assert ask("token/refresh", refresh=pair["access"]).status_code == 401
    assert status(pair["refresh"]) == 401


def test_a_token_is_renewed_although_the_client_still_sends_the_old_one_along() -> None:
    pair = sign_in(somebody()).json()
    stale = Client(headers={"Authorization": "Bearer a.b.c"})
    answer = stale.post("/api/auth/token/refresh", {"refresh": pair["refresh"]}, content_type="application/json")
    assert answer.status_code == 201


def unsigned(**changed: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    body = claims(tokens_issue(user=somebody().user).access) | changed
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(body)}."


def test_tokens_that_nobody_signed_here_are_refused() -> None:
    access = tokens_issue(user=somebody().user).access
    head, body, signature = access.split(".")
    bad = {
        "alg none": unsigned(),
        "another key": forged(key="x" * 64),
        "the settings' key": forged(key=settings.SECRET_KEY),
        "another algorithm": forged(algorithm="HS512"),
        "no signature": f"{head}.{body}.",
        "another body": f"{head}.{body[:-4]}AAAA.{signature}",
        "expired": forged(exp=int(timezone.now().timestamp()) - 1),
        "another issuer": forged(iss="elsewhere"),
        "another person": forged(sub=str(person().id)),
        "another organization": forged(org=str(person().organization_id)),
        "no sign-in": forged(sid=str(uuid4())),
        "nonsense for ids": forged(sub="1 OR 1", org="x"),
        "no ids": forged(sid=None),
        "nonsense": "a.b.c",
        "dots": "..",
    }
    assert {name: status(token) for name, token in bad.items()} == dict.fromkeys(bad, 401)
    assert (status(access), status(forged())) == (200, 200)


def test_a_closed_account_is_out_at_once() -> None:
    who = somebody()
    pair = sign_in(who).json()
    User.objects.filter(pk=who.id).update(is_active=False)
    assert (status(pair["access"]), ask("token/refresh", refresh=pair["refresh"]).status_code) == (401, 401)
    assert sign_in(who).status_code == 401


def test_who_left_the_organization_is_out_at_once_and_a_new_role_holds_at_once() -> None:
    (owner,) = team()
    member = member_of(owner, Role.MEMBER)
    pair = tokens_issue(user=member.user, organization_id=owner.organization_id)
    program = Client(headers={"Authorization": f"Bearer {pair.access}"})
    with owner.at_work():
        membership = Membership.objects.get(organization_id=owner.organization_id, user=member.user)
        member_role_set(membership_id=membership.pk, role=Role.VIEWER)
    assert program.post("/api/projects", {"name": "x"}, content_type="application/json").status_code == 403
    with owner.at_work():
        member_remove(membership_id=membership.pk)
    assert (status(pair.access), ask("token/refresh", refresh=pair.refresh).status_code) == (401, 401)


def test_another_password_ends_every_sign_in() -> None:
    who = somebody()
    pair = sign_in(who).json()
    who.user.set_password("another correct horse")
    who.user.save()
    assert (status(pair["access"]), ask("token/refresh", refresh=pair["refresh"]).status_code) == (401, 401)


def test_address_rules_hold_for_tokens_too() -> None:
    who = somebody()
    access = tokens_issue(user=who.user).access
    with who.at_work():
        ip_rule_add(action="allow", network="203.0.113.0/24")
    assert status(access) == 403
    program = Client(headers={"Authorization": f"Bearer {access}"}, REMOTE_ADDR="203.0.113.4")
    assert program.get("/api/keys/").status_code == 200


def test_what_is_stored_signs_nobody_in() -> None:
    who = somebody()
    pair = sign_in(who).json()
    with operator_atomic("test"):
        row = str(vars(ApiSession.objects.get(user=who.user)))
    assert not any(part in row for token in (pair["access"], pair["refresh"]) for part in token.split(".")[1:])


def test_a_body_that_is_wrong_names_the_fields() -> None:
    answer = ask("token", email="no address")
    fields = {each["field"] for each in answer.json()["error"]["details"]}
    assert (answer.status_code, fields) == (400, {"email", "password"})
    assert ask("token/refresh").status_code == 400
