import re
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from accounts_app.exceptions import InvalidInput, NotAuthenticated, NotFound, PermissionRefused
from accounts_app.models import ApiKey, AuditLog, Membership, Role, User
from accounts_app.services.api_keys import api_key_create, api_key_revoke, api_keys_revoke_as_operator
from accounts_app.services.cards import key_hash
from accounts_app.services.members import member_remove
from accounts_app.services.principals import principal_by_key
from accounts_app.tenancy.context import operator_atomic
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db
KEY = re.compile(r"dsk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


def create(owner: Person, name: str = "report", days: int | None = None) -> str:
    with owner.at_work():
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        return api_key_create(name=name, expires_at=expires_at).secret


def test_a_key_has_a_prefix_and_256_random_bits_and_only_its_hash_is_kept() -> None:
    owner = person()
    secret = create(owner)
    assert KEY.fullmatch(secret)
    with owner.at_work():
        stored = ApiKey.objects.get()
        assert (stored.prefix, stored.secret_hash) == (secret[:12], key_hash(secret))
        assert secret[12:] not in str(vars(stored))
        assert secret not in str(list(AuditLog.objects.values()))


def test_a_key_works_as_its_owner_in_its_organization() -> None:
    owner, admin = team(Role.ADMIN)
    principal = principal_by_key(create(admin))
    assert principal.user == admin.user
    assert (principal.tenant.organization_id, principal.tenant.role) == (owner.organization_id, Role.ADMIN)


def test_making_a_key_says_what_is_wrong() -> None:
    owner = person()
    for name, days, field in (("  ", None, "name"), ("x" * 81, None, "name"), ("x", -1, "expires_at")):
        with pytest.raises(InvalidInput) as caught:
            create(owner, name, days)
        assert caught.value.details[0].field == field


def test_viewers_make_and_revoke_no_keys() -> None:
    _owner, viewer = team(Role.VIEWER)
    with pytest.raises(PermissionRefused):
        create(viewer)
    member = Person(viewer.user, viewer.organization_id, Role.MEMBER)
    secret = create(member)
    with viewer.at_work():
        key_id = ApiKey.objects.get(secret_hash=key_hash(secret)).pk
    with pytest.raises(PermissionRefused), viewer.at_work():
        api_key_revoke(api_key_id=key_id)


def test_a_revoked_key_is_refused_and_a_second_revocation_changes_nothing() -> None:
    owner = person()
    secret = create(owner)
    with owner.at_work():
        key_id = ApiKey.objects.get().pk
        api_key_revoke(api_key_id=key_id)
        moment = ApiKey.objects.get().revoked_at
        api_key_revoke(api_key_id=key_id)
        assert ApiKey.objects.get().revoked_at == moment
        assert AuditLog.objects.filter(action="api_key.revoke").count() == 1
    with pytest.raises(NotAuthenticated):
        principal_by_key(secret)


def test_an_expired_key_is_refused() -> None:
    owner = person()
    secret = create(owner, days=1)
    principal_by_key(secret)
    with owner.at_work():
        ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotAuthenticated):
        principal_by_key(secret)


def test_the_key_of_a_closed_account_is_refused() -> None:
    owner = person()
    secret = create(owner)
    User.objects.filter(pk=owner.id).update(is_active=False)
    with pytest.raises(NotAuthenticated):
        principal_by_key(secret)


def test_the_key_of_someone_who_was_removed_is_refused() -> None:
    owner, member = team(Role.MEMBER)
    secret = create(member)
    with owner.at_work():
        member_remove(membership_id=Membership.objects.get(organization=owner.organization_id, user=member.user).pk)
    with pytest.raises(NotAuthenticated, match="left"):
        principal_by_key(secret)


def test_use_is_noted_at_most_once_a_minute() -> None:
    owner = person()
    secret = create(owner)
    principal_by_key(secret)
    with owner.at_work():
        first = ApiKey.objects.get().last_used_at
    principal_by_key(secret)
    with owner.at_work():
        assert ApiKey.objects.get().last_used_at == first is not None
        ApiKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    principal_by_key(secret)
    with owner.at_work():
        assert ApiKey.objects.get().last_used_at != first


def test_members_see_their_own_keys_and_managers_all() -> None:
    owner, member, other = team(Role.MEMBER, Role.MEMBER)
    create(member, "member's")
    create(other, "other's")
    seen = {
        who: {key["name"] for key in who.api().get("/api/keys/").json()["results"]} - {"test"}
        for who in (owner, member, other)
    }
    assert list(seen.values()) == [{"member's", "other's"}, {"member's"}, {"other's"}]


def test_a_member_does_not_revoke_anothers_key() -> None:
    owner, member = team(Role.MEMBER)
    create(owner)
    with owner.at_work():
        key_id = ApiKey.objects.get().pk
    with pytest.raises(NotFound), member.at_work():
        api_key_revoke(api_key_id=key_id)


def test_keys_over_the_api() -> None:
    api = person().api()
    made = api.post("/api/keys/", {"name": "report"}, content_type="application/json")
    assert made.status_code == 201
    assert KEY.fullmatch(made.json()["key"])
    address = f"/api/keys/{made.json()['id']}/"
    shown = api.get(address).json()
    assert (shown["name"], shown["revoked_at"]) == ("report", None)
    assert "key" not in shown
    assert "secret_hash" not in shown
    assert (shown["project"], shown["scopes"], shown["models"]) == (None, ["inference", "read", "write"], [])
    assert api.delete(address).status_code == 204
    assert api.delete(address).status_code == 204
    assert api.get(address).json()["revoked_at"]
    new = Client(headers={"Authorization": f"Bearer {made.json()['key']}"})
    assert new.get("/api/keys/").status_code == 401


def test_a_viewers_key_reads_and_does_not_write() -> None:
    _owner, viewer = team(Role.VIEWER)
    secret = create(Person(viewer.user, viewer.organization_id, Role.MEMBER))
    api = Client(headers={"Authorization": f"Bearer {secret}"})
    assert api.get("/api/keys/").status_code == 200
    assert api.post("/api/keys/", {"name": "x"}, content_type="application/json").status_code == 403


def test_keys_open_the_api_only() -> None:
    owner = person()
    response = owner.api().get("/settings/keys/")
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/settings/keys/")


def test_answers_to_a_key_are_not_for_everyones_cache() -> None:
    assert "Authorization" in person().api().get("/api/keys/")["Vary"]


def test_someone_without_an_organization_gets_a_clear_refusal() -> None:
    lonely = person()
    with operator_atomic("test"):
        Membership.objects.filter(user=lonely.user).delete()
    client = Client()
    client.force_login(lonely.user)
    assert client.get("/api/keys/").status_code == 403
    assert client.get("/settings/keys/").status_code == 403


def test_an_operator_revokes_keys_of_any_tenant() -> None:
    first, second = person(), person()
    create(first)
    create(second)
    with operator_atomic("test"):
        ids = list(ApiKey.objects.values_list("pk", flat=True))
        assert api_keys_revoke_as_operator(api_key_ids=[*ids, uuid4()]) == 2
        assert api_keys_revoke_as_operator(api_key_ids=ids) == 0


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("create_api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_the_key_alone_on_its_last_line() -> None:
    owner = person("ada@example.com")
    out, _err = run("Ada@example.com", "--name", "deploy")
    last = out.splitlines()[-1]
    assert KEY.fullmatch(last)
    assert principal_by_key(last).tenant.organization_id == owner.organization_id
    with owner.at_work():
        assert ApiKey.objects.get().name == "deploy"


def test_the_command_says_when_there_is_no_such_user() -> None:
    with pytest.raises(CommandError, match=r"no user ada@example\.com.*--create-user"):
        run("ada@example.com")
    assert not User.objects.exists()


def test_the_command_makes_the_account_first_when_asked() -> None:
    out, err = run("ada@example.com", "--create-user")
    assert KEY.fullmatch(out.splitlines()[-1])
    assert "ada@example.com" in err
    assert not User.objects.get().has_usable_password()
    assert KEY.fullmatch(run("ada@example.com", "--create-user")[0].splitlines()[-1])
    assert User.objects.count() == 1


def test_the_command_makes_no_account_for_nonsense() -> None:
    with pytest.raises(CommandError, match="not an e-mail address"):
        run("nonsense", "--create-user")


def test_the_command_refuses_an_empty_name_and_leaves_nothing() -> None:
    with pytest.raises(CommandError, match="name"):
        run("ada@example.com", "--create-user", "--name", " ")
    assert not User.objects.exists()


def program(owner: Person, *scopes: str) -> Client:
    with owner.at_work():
        secret = api_key_create(name="scoped", scopes=scopes).secret
    return Client(headers={"Authorization": f"Bearer {secret}"})


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"), [(["read"], True, False), (["write"], False, True), (["inference"], False, False)]
)
def test_scopes_open_the_safe_and_the_other_methods_of_the_rest_api(
    scopes: list[str], reads: bool, writes: bool
) -> None:
    api = program(person(), *scopes)
    seen = [
        api.get("/api/keys/"),
        api.options("/api/keys/"),
        api.get("/api/tasks/"),
        api.post("/api/projects/", {"name": "a"}, content_type="application/json"),
        api.delete(f"/api/keys/{uuid4()}/"),
    ]
    assert [answer.status_code != 403 for answer in seen] == [reads, reads, reads, writes, writes]
    codes = {answer.json()["error"]["code"] for answer in seen if answer.status_code == 403}
    assert codes <= {"scope_missing"}


def test_a_key_gives_no_scope_that_it_has_not() -> None:
    owner = person()
    full = owner.api()
    with owner.at_work():
        wide = api_key_create(name="wide")
    api = program(owner, "read", "write")
    refused = [
        api.post("/api/keys/", {"name": "x", "scopes": ["inference"]}, content_type="application/json"),
        api.post(f"/api/keys/{wide.id}/rotate/", {}, content_type="application/json"),
        api.patch(f"/api/keys/{wide.id}/", {"name": "x"}, content_type="application/json"),
    ]
    assert [answer.json()["error"]["code"] for answer in refused] == ["scope_missing"] * 3
    made = api.post("/api/keys/", {"name": "as wide as this one"}, content_type="application/json")
    assert full.get(f"/api/keys/{made.json()['id']}/").json()["scopes"] == ["read", "write"]


@pytest.mark.parametrize("scopes", [[], ["admin"], ["read", "admin"]])
def test_scopes_that_are_none_are_refused(scopes: list[str]) -> None:
    with person().at_work(), pytest.raises(InvalidInput) as caught:
        api_key_create(name="x", scopes=scopes)
    assert caught.value.details[0].field == "scopes"


@pytest.mark.parametrize("models", [["gpt 5"], ["gpt\n5"], ["<b>"], ["x" * 121], [f"m{n}" for n in range(51)]])
def test_models_that_are_no_names_are_refused(models: list[str]) -> None:
    with person().at_work(), pytest.raises(InvalidInput) as caught:
        api_key_create(name="x", models=models)
    assert caught.value.details[0].field == "models"


@pytest.mark.parametrize("fields", [{"scopes": []}, {"scopes": ["admin"]}, {"previous_hash": "x"}])
def test_the_database_keeps_keys_in_shape(fields: dict[str, object]) -> None:
    owner = person()
    owner.key()
    with pytest.raises(IntegrityError, match="api_key_"), owner.at_work():
        ApiKey.objects.update(**fields)


def test_a_key_is_changed_where_named_and_not_once_it_is_revoked() -> None:
    owner = person()
    api = owner.api()
    made = api.post("/api/keys/", {"name": "x", "models": ["gpt-5*"]}, content_type="application/json").json()
    address = f"/api/keys/{made['id']}/"
    changed = api.patch(address, {"name": "y", "scopes": ["read"]}, content_type="application/json").json()
    assert (changed["name"], changed["scopes"], changed["models"]) == ("y", ["read"], ["gpt-5*"])
    past = api.patch(address, {"expires_at": "2020-01-01T00:00:00Z"}, content_type="application/json")
    assert past.json()["error"]["details"][0]["field"] == "expires_at"
    api.delete(address)
    assert api.patch(address, {"name": "z"}, content_type="application/json").status_code == 409
    assert api.post(f"{address}rotate/", {}, content_type="application/json").status_code == 409


def test_rotating_over_the_api_answers_with_the_new_key_once() -> None:
    owner = person()
    api = owner.api()
    made = api.post("/api/keys/", {"name": "x"}, content_type="application/json").json()
    address = f"/api/keys/{made['id']}/"
    new = api.post(f"{address}rotate/", {"grace_hours": 1}, content_type="application/json").json()
    assert (new["id"], KEY.fullmatch(new["key"]) is not None) == (made["id"], True)
    shown = api.get(address).json()
    assert new["key"] not in str(shown)
    assert shown["previous_expires_at"]
    too_long = api.post(f"{address}rotate/", {"grace_hours": 721}, content_type="application/json")
    assert too_long.status_code == 400
