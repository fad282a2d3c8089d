"""The settings pages through real requests, as forms without JavaScript."""

import re
from uuid import UUID

import pytest
from django.test import Client

from accounts_app.models import ApiKey, Membership, Organization, Role
from accounts_app.services.principals import ACTIVE_ORGANIZATION
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db
ORGANIZATION = "/settings/organization/"


def text_of(client: Client, path: str, language: str = "en") -> str:
    response = client.get(path, headers={"Accept-Language": language})
    assert response.status_code == 200
    return response.content.decode()


def membership_of(who: Person) -> UUID:
    with who.at_work():
        return Membership.objects.get(organization_id=who.organization_id, user=who.user).pk


def test_a_new_key_is_shown_once_and_then_never_again() -> None:
    client = person().client()
    response = client.post("/settings/keys/", {"name": "report", "lifetime_days": "90", "scopes": ["read"]})
    shown = re.search(r"dsk_[0-9a-f]{8}_[\w-]{43}", response.content.decode())
    assert shown
    assert "no-store" in response["Cache-Control"]
    page = text_of(client, "/settings/keys/")
    assert shown[0] not in page
    assert shown[0][:12] in page
    assert "active" in page


@pytest.mark.parametrize("form", [{"name": "", "lifetime_days": "90"}, {"name": "x", "lifetime_days": "7"}, {}])
def test_a_key_form_that_is_wrong_comes_back_and_makes_nothing(form: dict[str, str]) -> None:
    owner = person()
    response = owner.client().post("/settings/keys/", form)
    assert response.status_code == 400
    assert "field__error" in response.content.decode()
    with owner.at_work():
        assert not ApiKey.objects.exists()


def test_a_key_may_last_for_ever() -> None:
    owner = person()
    owner.client().post("/settings/keys/", {"name": "x", "lifetime_days": "0", "scopes": ["read"]})
    with owner.at_work():
        assert ApiKey.objects.get().expires_at is None


def test_revoking_asks_first() -> None:
    owner = person()
    client = owner.client()
    client.post("/settings/keys/", {"name": "report", "lifetime_days": "90", "scopes": ["read"]})
    with owner.at_work():
        address = f"/settings/keys/{ApiKey.objects.get().pk}/revoke/"
    assert "report" in text_of(client, address)
    with owner.at_work():
        assert ApiKey.objects.get().revoked_at is None
    assert client.post(address, follow=True).redirect_chain == [("/settings/keys/", 302)]
    assert "revoked" in text_of(client, "/settings/keys/")


def test_a_strangers_key_is_not_found() -> None:
    owner = person()
    owner.key()
    with owner.at_work():
        address = f"/settings/keys/{ApiKey.objects.get().pk}/revoke/"
    stranger = person().client()
    assert stranger.get(address).status_code == 404
    assert stranger.post(address).status_code == 404


def test_a_viewer_sees_the_page_without_the_form() -> None:
    _owner, viewer = team(Role.VIEWER)
    client = viewer.client()
    assert "make-key-title" not in text_of(client, "/settings/keys/")
    assert client.post("/settings/keys/", {"name": "x", "lifetime_days": "90"}).status_code == 403


@pytest.mark.parametrize("path", ["/settings/keys/", ORGANIZATION])
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages_speak_both_languages_without_inline_code(path: str, language: str) -> None:
    owner, _member = team(Role.MEMBER)
    page = text_of(owner.client(), path, language)
    assert f'lang="{language}"' in page
    assert not re.search(r"\son\w+=|\sstyle=", page)


def test_the_page_shows_members_and_what_changed() -> None:
    owner, member = team(Role.MEMBER)
    page = text_of(owner.client(), ORGANIZATION)
    assert owner.user.email in page
    assert member.user.email in page
    assert "member.add" in page
    plain = text_of(member.client(), ORGANIZATION)
    assert "member.add" not in plain
    assert "add-title" not in plain


def test_adding_a_member() -> None:
    (owner,) = team()
    newcomer = person()
    client = owner.client()
    response = client.post(f"{ORGANIZATION}members/", {"email": newcomer.user.email, "role": "member"}, follow=True)
    assert newcomer.user.email in response.content.decode()
    for form in ({"email": newcomer.user.email, "role": "member"}, {"email": "no", "role": "x"}):
        response = client.post(f"{ORGANIZATION}members/", form)
        assert response.status_code == 400
        assert "field__error" in response.content.decode()


def test_changing_and_removing_members() -> None:
    owner, member = team(Role.MEMBER)
    client, row = owner.client(), membership_of(member)
    client.post(f"{ORGANIZATION}members/{row}/role/", {"role": "viewer"})
    with owner.at_work():
        assert Membership.objects.get(pk=row).role == Role.VIEWER
    client.post(f"{ORGANIZATION}members/{row}/role/", {"role": "emperor"})
    with owner.at_work():
        assert Membership.objects.get(pk=row).role == Role.VIEWER
    client.post(f"{ORGANIZATION}members/{row}/remove/")
    with owner.at_work():
        assert not Membership.objects.filter(pk=row).exists()


@pytest.mark.parametrize("deed", ["role", "remove"])
def test_the_last_owner_is_told_why_not(deed: str) -> None:
    (owner,) = team()
    path = f"{ORGANIZATION}members/{membership_of(owner)}/{deed}/"
    response = owner.client().post(path, {"role": "viewer"}, follow=True)
    assert "keeps at least one owner" in response.content.decode()


def test_members_do_not_manage_through_the_address_either() -> None:
    owner, member = team(Role.MEMBER)
    client = member.client()
    assert client.post(f"{ORGANIZATION}members/", {}).status_code == 403
    assert client.post(f"{ORGANIZATION}members/{membership_of(owner)}/remove/").status_code == 403


def test_leaving() -> None:
    owner, viewer = team(Role.VIEWER)
    client = viewer.client()
    response = client.post(f"{ORGANIZATION}leave/", follow=True)
    assert "You have left" in response.content.decode()
    assert ACTIVE_ORGANIZATION not in client.session
    response = owner.client().post(f"{ORGANIZATION}leave/", follow=True)
    assert "keeps at least one owner" in response.content.decode()


def test_a_new_organization_is_entered_at_once() -> None:
    founder = person()
    client = founder.client()
    response = client.post(f"{ORGANIZATION}new/", {"name": "Newtown"}, follow=True)
    assert "<h1>Newtown</h1>" in response.content.decode()
    assert client.post(f"{ORGANIZATION}new/", {"name": ""}).status_code == 400


def test_switching_changes_what_is_seen_and_is_kept() -> None:
    owner, member = team(Role.MEMBER)
    client = member.client()
    assert "<h1>Team</h1>" in text_of(client, ORGANIZATION)
    with member.at_work():
        personal = Organization.objects.get(is_personal=True).pk
    response = client.post(f"{ORGANIZATION}switch/", {"organization": str(personal)})
    assert response["Location"] == "/"
    assert "<h1>Team</h1>" not in text_of(client, ORGANIZATION)
    assert owner.user.email not in text_of(client, ORGANIZATION)


@pytest.mark.parametrize("organization", ["", "nonsense", "00000000-0000-4000-8000-000000000000", "another's"])
def test_one_switches_only_to_ones_own_organizations(organization: str) -> None:
    other = person()
    target = str(other.organization_id) if organization == "another's" else organization
    client = person().client()
    assert client.post(f"{ORGANIZATION}switch/", {"organization": target}).status_code == 404


def test_someone_who_was_removed_falls_back_to_their_own_organization() -> None:
    owner, member = team(Role.MEMBER)
    client = member.client()
    owner.client().post(f"{ORGANIZATION}members/{membership_of(member)}/remove/")
    assert "Your personal organization" in text_of(client, ORGANIZATION)
