"""Key cards: complete, cheap, and never older than the revision that they carry."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts_app.contracts import KeyCard
from accounts_app.exceptions import NotAuthenticated
from accounts_app.models import ApiKey, IpRule, Membership, Organization, Project, Revision, Role, User
from accounts_app.services.api_keys import api_key_change, api_key_create, api_key_revoke, api_key_rotate
from accounts_app.services.cards import key_card
from accounts_app.services.ip_rules import ip_rule_add, ip_rule_remove
from accounts_app.services.members import member_remove, member_role_set
from accounts_app.services.projects import project_archive, project_change, project_create, project_restore
from accounts_app.tenancy.context import operator_atomic
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db


def revision(of: Person) -> int:
    with of.at_work():
        return Organization.objects.get(pk=of.organization_id).policy_revision


def ip_revision() -> int:
    return Revision.objects.get(name="ip_rules").number


def test_a_card_says_all_that_a_call_asks() -> None:
    owner, admin = team(Role.ADMIN)
    expires = timezone.now() + timedelta(days=3)
    with owner.at_work():
        project = project_create(name="Search", log_prompts=True)
        ip_rule_add(action="allow", network="203.0.113.0/24")
        ip_rule_add(action="deny", network="203.0.113.9", project_id=project.pk)
    with admin.at_work():
        key = api_key_create(
            name="nightly", expires_at=expires, project_id=project.pk, scopes=["inference"], models=["gpt-5*"]
        )
        ip_rule_add(action="allow", network="203.0.113.7", api_key_id=key.id)
        other = api_key_create(name="other")
        ip_rule_add(action="deny", network="203.0.113.8", api_key_id=other.id)
    card = key_card(key.secret)
    assert (card.organization_id, card.user_id, card.role) == (owner.organization_id, admin.id, "admin")
    assert (card.api_key_id, card.api_key_name, card.project_id) == (key.id, "nightly", project.pk)
    assert (card.log_prompts, card.scopes, card.models) == (True, frozenset({"inference"}), ("gpt-5*",))
    assert card.expires_at == expires
    assert (card.policy_revision, card.ip_revision) == (revision(owner), ip_revision())
    assert {(rule.level, rule.action, str(rule.network)) for rule in card.ip_rules} == {
        ("organization", "allow", "203.0.113.0/24"),
        ("project", "deny", "203.0.113.9/32"),
        ("key", "allow", "203.0.113.7/32"),
    }
    assert (card.tenant.organization_id, card.tenant.user_id, card.tenant.role) == (
        owner.organization_id,
        admin.id,
        "admin",
    )


def test_a_card_costs_at_most_four_queries() -> None:
    secret = person().key()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        key_card(secret)
    asked = [query["sql"] for query in queries if "set_config" not in query["sql"] and "SAVEPOINT" not in query["sql"]]
    assert len(asked) <= 4, asked


def test_models_are_patterns_and_none_means_all() -> None:
    owner = person()
    with owner.at_work():
        some = api_key_create(name="some", models=["gpt-5*", "text-embedding-3-small"])
        every = api_key_create(name="every")
    card = key_card(some.secret)
    assert [card.allows_model(name) for name in ("gpt-5-mini", "text-embedding-3-small", "gpt-4o")] == [
        True,
        True,
        False,
    ]
    assert key_card(every.secret).allows_model("anything")


def test_a_viewers_card_only_reads() -> None:
    _owner, viewer = team(Role.VIEWER)
    with Person(viewer.user, viewer.organization_id, Role.MEMBER).at_work():
        secret = api_key_create(name="made when a member").secret
    assert key_card(secret).scopes == frozenset({"read"})


def test_the_operators_rules_are_in_every_card_and_counted_by_themselves() -> None:
    owner = person()
    secret, before, policy = owner.key(), ip_revision(), revision(owner)
    with operator_atomic("test"):
        rule = IpRule.objects.create(action="deny", network="198.51.100.0/24")
    assert (key_card(secret).ip_revision, revision(owner)) == (before + 1, policy)
    assert [each.level for each in key_card(secret).ip_rules] == ["operator"]
    with operator_atomic("test"):
        IpRule.objects.filter(pk=rule.pk).update(action="allow")
        IpRule.objects.filter(pk=rule.pk).delete()
    assert ip_revision() == before + 3
    with owner.at_work():
        ip_rule_add(action="deny", network="198.51.100.0/24")
    assert ip_revision() == before + 3


def test_an_organization_cannot_write_a_rule_of_the_operators() -> None:
    owner = person()
    with pytest.raises(Exception, match="row-level security"), owner.at_work():
        IpRule.objects.create(action="allow", network="0.0.0.0/0")


class Team:
    """An owner, a member with a key in a project, and a rule: something of each kind that is counted."""

    def __init__(self) -> None:
        self.owner, self.member = team(Role.MEMBER)
        with self.owner.at_work():
            self.project = project_create(name="P")
            self.rule = ip_rule_add(action="deny", network="192.0.2.0/24")
        with self.member.at_work():
            self.key = api_key_create(name="k", project_id=self.project.pk)

    def membership(self) -> Membership:
        return Membership.objects.get(organization_id=self.owner.organization_id, user=self.member.user)

    def deed(self, deed: Callable[["Team"], Any]) -> None:
        with self.owner.at_work():
            deed(self)


@pytest.mark.parametrize(
    "deed",
    [
        lambda t: api_key_revoke(api_key_id=t.key.id),
        lambda t: api_key_rotate(api_key_id=t.key.id),
        lambda t: api_key_change(
            api_key_id=t.key.id, name="k", expires_at=None, project_id=None, scopes=["read"], models=[]
        ),
        lambda _t: api_key_create(name="another"),
        lambda t: member_role_set(membership_id=t.membership().pk, role=Role.VIEWER),
        lambda t: member_remove(membership_id=t.membership().pk),
        lambda t: project_change(project_id=t.project.pk, name="P", description="", log_prompts=True),
        lambda t: project_archive(project_id=t.project.pk),
        lambda _t: ip_rule_add(action="allow", network="192.0.2.1"),
        lambda t: ip_rule_remove(rule_id=t.rule.pk),
        lambda t: User.objects.filter(pk=t.member.id).update(is_active=False),
    ],
)
def test_whatever_a_card_says_is_counted_when_it_changes(deed: Callable[[Team], Any]) -> None:
    all_of_it, other = Team(), person()
    before, elsewhere = revision(all_of_it.owner), revision(other)
    all_of_it.deed(deed)
    assert revision(all_of_it.owner) > before
    assert revision(other) == elsewhere


def test_use_is_not_counted_and_neither_is_a_change_of_nothing() -> None:
    owner = person()
    secret = owner.key()
    before = revision(owner)
    key_card(secret)
    with owner.at_work():
        assert ApiKey.objects.get().last_used_at is not None
        ApiKey.objects.get().save()
    assert revision(owner) == before


def test_closing_an_account_is_counted_in_every_organization_of_that_person() -> None:
    _owner, member = team(Role.MEMBER)
    person()
    with operator_atomic("test"):
        ids = set(member.user.memberships.values_list("organization_id", flat=True))
        before = dict(Organization.objects.values_list("pk", "policy_revision"))
    # As somebody who sees none of them.
    User.objects.filter(pk=member.id).update(is_active=False)
    with operator_atomic("test"):
        after = dict(Organization.objects.values_list("pk", "policy_revision"))
    assert len(ids) == 2
    assert {pk for pk in after if after[pk] != before[pk]} == ids


def test_a_row_saved_whole_does_not_turn_the_revision_back() -> None:
    owner = person()
    with owner.at_work():
        stale = Organization.objects.get(pk=owner.organization_id)
        api_key_create(name="x")
        stale.name = "renamed"
        stale.save()
    assert revision(owner) == stale.policy_revision + 1


def test_counting_leaves_no_operator_behind() -> None:
    owner = person()
    with owner.at_work(), connection.cursor() as cursor:
        api_key_create(name="x")
        User.objects.filter(pk=owner.id).update(is_active=False)
        cursor.execute("SELECT current_setting('app.operator', true)")
        assert cursor.fetchone() == ("",)


def card_of(secret: str) -> KeyCard | None:
    try:
        return key_card(secret)
    except NotAuthenticated:
        return None


def test_a_rotated_key_keeps_its_id_and_its_old_secret_for_the_grace() -> None:
    owner = person()
    with owner.at_work():
        old = api_key_create(name="x")
        new = api_key_rotate(api_key_id=old.id, grace=timedelta(hours=2))
    assert (new.id, key_card(new.secret).api_key_id, key_card(old.secret).api_key_id) == (old.id, old.id, old.id)
    expiry = key_card(old.secret).expires_at
    assert expiry is not None
    assert expiry > timezone.now() + timedelta(hours=1)
    assert key_card(new.secret).expires_at is None
    with owner.at_work():
        ApiKey.objects.update(previous_expires_at=timezone.now() - timedelta(seconds=1))
    assert card_of(old.secret) is None
    assert card_of(new.secret) is not None


def test_without_a_grace_the_old_secret_stops_at_once_and_so_does_one_before_it() -> None:
    owner = person()
    with owner.at_work():
        first = api_key_create(name="x")
        second = api_key_rotate(api_key_id=first.id, grace=timedelta(hours=2))
        third = api_key_rotate(api_key_id=first.id)
    assert [card_of(key.secret) is not None for key in (first, second, third)] == [False, False, True]


def test_a_revoked_key_has_no_secret_that_works() -> None:
    owner = person()
    with owner.at_work():
        old = api_key_create(name="x")
        new = api_key_rotate(api_key_id=old.id, grace=timedelta(hours=2))
        api_key_revoke(api_key_id=old.id)
    assert (card_of(old.secret), card_of(new.secret)) == (None, None)


def test_the_keys_of_an_archived_project_are_refused_until_it_is_back() -> None:
    owner = person()
    with owner.at_work():
        project = project_create(name="P")
        key = api_key_create(name="x", project_id=project.pk)
        project_archive(project_id=project.pk)
    with pytest.raises(NotAuthenticated, match="archived"):
        key_card(key.secret)
    with owner.at_work():
        project_restore(project_id=project.pk)
        assert Project.objects.get().archived_at is None
    assert key_card(key.secret).project_id == project.pk
