from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.models import AuditLog, IpRule, Role
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.ip_rules import ip_rule_add, ip_rule_remove
from accounts_app.services.projects import project_create
from accounts_app.tenancy.context import operator_atomic
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("2001:DB8:0:0::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_has_one_spelling(given: str, stored: str) -> None:
    with person().at_work():
        assert ip_rule_add(action="allow", network=given).network == stored


@pytest.mark.parametrize(
    "given", ["", "nonsense", "203.0.113", "203.0.113.7/33", "203.0.113.7-9", "example.com", "0x1"]
)
def test_what_is_no_network_is_refused(given: str) -> None:
    with person().at_work(), pytest.raises(InvalidInput) as caught:
        ip_rule_add(action="allow", network=given)
    assert caught.value.details[0].field == "network"


def test_a_network_is_listed_once_at_each_level() -> None:
    with person().at_work():
        project = project_create(name="P")
        for _ in range(2):
            ip_rule_add(action="allow", network="203.0.113.7", project_id=project.pk)
            with pytest.raises(InvalidInput, match="already"):
                ip_rule_add(action="deny", network="203.0.113.7/32", project_id=project.pk)
            IpRule.objects.filter(project=project).delete()
        assert ip_rule_add(action="deny", network="203.0.113.7")


def test_owners_and_admins_decide_and_the_log_says_so() -> None:
    owner, admin, member = team(Role.ADMIN, Role.MEMBER)
    with admin.at_work():
        rule = ip_rule_add(action="deny", network="203.0.113.7", note="scanner")
    with pytest.raises(PermissionRefused), member.at_work():
        ip_rule_add(action="deny", network="203.0.113.8")
    with pytest.raises(PermissionRefused), member.at_work():
        ip_rule_remove(rule_id=rule.pk)
    with owner.at_work():
        ip_rule_remove(rule_id=rule.pk)
        actions = AuditLog.objects.filter(target_id=str(rule.pk)).values_list("action", flat=True)
        assert sorted(actions) == ["ip_rule.add", "ip_rule.remove"]


def test_a_rule_is_for_something_of_ones_own_and_for_one_thing() -> None:
    owner, stranger = person(), person()
    with owner.at_work():
        project, key = project_create(name="P"), api_key_create(name="k")
        with pytest.raises(InvalidInput):
            ip_rule_add(action="deny", network="203.0.113.7", project_id=project.pk, api_key_id=key.id)
    with pytest.raises(NotFound), stranger.at_work():
        ip_rule_add(action="deny", network="203.0.113.7", project_id=project.pk)
    with pytest.raises(NotFound), stranger.at_work():
        ip_rule_add(action="deny", network="203.0.113.7", api_key_id=key.id)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"action": "other"}, "ip_rule_action_known"),
        ({"both": True}, "ip_rule_of_one_subject"),
        ({"ownerless": True}, "ip_rule_subject_has_organization"),
    ],
)
def test_the_database_keeps_rules_in_shape(fields: dict[str, Any], constraint: str) -> None:
    owner = person()
    with owner.at_work():
        project, key = project_create(name="P"), api_key_create(name="k")
    row: dict[str, Any] = {"organization_id": owner.organization_id, "action": "allow", "network": "203.0.113.7"}
    row |= {"project_id": project.pk} if fields.pop("both", False) or fields.get("ownerless") else {}
    row |= {"organization_id": None} if fields.pop("ownerless", False) else {"api_key_id": key.id}
    with pytest.raises(IntegrityError, match=constraint), operator_atomic("test"), transaction.atomic():
        IpRule.objects.create(**row | fields)


def client(owner: Person, address: str = "127.0.0.1") -> Client:
    return Client(headers={"Authorization": f"Bearer {owner.key()}"}, REMOTE_ADDR=address)


def refused(program: Client, path: str = "/api/keys/", **headers: Any) -> bool:
    answer = program.get(path, **headers)
    if answer.status_code == 200:
        return False
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ip_not_allowed")
    return True


def test_a_key_works_from_allowed_addresses_only() -> None:
    owner = person()
    with owner.at_work():
        ip_rule_add(action="allow", network="203.0.113.0/24")
        ip_rule_add(action="allow", network="2001:db8::/32")
        ip_rule_add(action="deny", network="203.0.113.66")
    assert refused(client(owner))
    assert refused(client(owner, "203.0.113.66"))
    assert not refused(client(owner, "203.0.113.9"))
    assert not refused(client(owner, "::ffff:203.0.113.9"))
    assert not refused(client(owner, "2001:db8::9"))


def test_nobody_writes_an_address_for_oneself() -> None:
    owner = person()
    with owner.at_work():
        ip_rule_add(action="allow", network="203.0.113.0/24")
    program = client(owner)
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"):
        assert refused(program, headers={header: "203.0.113.9"})


def test_another_key_or_project_of_the_organization_is_not_concerned() -> None:
    owner = person()
    with owner.at_work():
        project = project_create(name="P")
        inside = api_key_create(name="inside", project_id=project.pk)
        single, other = api_key_create(name="single"), api_key_create(name="other")
        ip_rule_add(action="deny", network="127.0.0.1", project_id=project.pk)
        ip_rule_add(action="deny", network="127.0.0.1", api_key_id=single.id)
    found = [refused(Client(headers={"Authorization": f"Bearer {key.secret}"})) for key in (inside, single, other)]
    assert found == [True, True, False]


def test_the_operators_rule_holds_for_everybody_and_is_written_in_the_admin() -> None:
    owner, operator = person(), person(is_operator=True)
    program = client(owner, "198.51.100.3")
    assert not refused(program)
    made = operator.client().post("/admin/accounts_app/iprule/add/", {"action": "deny", "network": "198.51.100.3/24"})
    assert made.status_code == 302
    with operator_atomic("test"):
        rule = IpRule.objects.get(organization=None)
    assert rule.network == "198.51.100.0/24"
    assert refused(program)
    bad = operator.client().post("/admin/accounts_app/iprule/add/", {"action": "deny", "network": "nowhere"})
    assert "no IP address" in bad.content.decode()


def test_pages_stay_open_so_that_nobody_locks_themselves_out() -> None:
    owner = person()
    with owner.at_work():
        ip_rule_add(action="deny", network="0.0.0.0/0")
    assert owner.client().get("/settings/addresses/").status_code == 200


def test_rules_over_the_api() -> None:
    owner = person()
    api = owner.api()
    made = api.post("/api/ip-rules", {"action": "deny", "network": "203.0.113.7/24"}, content_type="application/json")
    assert (made.status_code, made.json()["network"]) == (201, "203.0.113.0/24")
    assert [rule["id"] for rule in api.get("/api/ip-rules").json()["results"]] == [made.json()["id"]]
    assert api.delete(f"/api/ip-rules/{made.json()['id']}").status_code == 204
    bad = api.post("/api/ip-rules", {"action": "deny", "network": "x"}, content_type="application/json")
    assert bad.json()["error"]["details"][0]["field"] == "network"
