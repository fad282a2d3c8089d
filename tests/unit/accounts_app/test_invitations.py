import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client, TestCase
from django.utils import timezone

from accounts_app.contracts import SentInvitation
from accounts_app.exceptions import Conflict, InvalidInput, NotFound, PermissionRefused, WrongAccount
from accounts_app.models import AuditLog, Invitation, Membership, Role
from accounts_app.services.invitations import (
    invitation_accept,
    invitation_offer,
    invitation_resend,
    invitation_revoke,
    invitation_send,
)
from accounts_app.services.members import member_add
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db
BASE = "https://deepspace.example.com/"


def invite(owner: Person, email: str, role: str = Role.MEMBER) -> SentInvitation:
    with owner.at_work(), TestCase.captureOnCommitCallbacks(execute=True):
        return invitation_send(email=email, role=role, base_url=BASE)


def token_of(sent: SentInvitation) -> str:
    return sent.link.partition("?token=")[2]


def role_in(owner: Person, who: Person) -> str | None:
    with owner.at_work():
        rows = Membership.objects.filter(organization_id=owner.organization_id, user=who.user)
        return rows.values_list("role", flat=True).first()


def test_the_mail_has_a_link_whose_token_is_stored_nowhere() -> None:
    (owner,) = team()
    sent = invite(owner, " Ada@Example.com ")
    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert sent.link in message.body
    assert sent.link.startswith(f"{BASE}invitation/?token=")
    assert "Team" in message.subject
    with owner.at_work():
        row = str(vars(Invitation.objects.get()))
        log = str(list(AuditLog.objects.values()))
    assert token_of(sent) not in row + log


def test_the_mail_is_in_the_language_of_whom_it_goes_to() -> None:
    (owner,) = team()
    reader = person()
    type(reader.user).objects.filter(pk=reader.id).update(language="zh-hans")
    invite(owner, reader.user.email)
    invite(owner, "somebody-new@example.com")
    assert ["邀请" in message.subject for message in mail.outbox] == [True, False]


def test_who_accepts_is_a_member_with_the_role_and_the_link_works_once() -> None:
    (owner,), guest = team(), person()
    token = token_of(invite(owner, guest.user.email, Role.VIEWER))
    offer = invitation_offer(token)
    assert (offer.organization_name, offer.role, offer.inviter, offer.state) == (
        "Team",
        "viewer",
        owner.user.email,
        "open",
    )
    assert invitation_accept(token=token, user=guest.user) == owner.organization_id
    assert role_in(owner, guest) == "viewer"
    assert invitation_offer(token).state == "accepted"
    with pytest.raises(Conflict):
        invitation_accept(token=token, user=guest.user)
    with owner.at_work():
        entry = AuditLog.objects.get(action="invitation.accept")
    assert (entry.user_id, entry.data["role"]) == (guest.id, "viewer")


def test_another_account_does_not_get_in() -> None:
    (owner,), guest, other = team(), person(), person()
    token = token_of(invite(owner, guest.user.email))
    with pytest.raises(WrongAccount):
        invitation_accept(token=token, user=other.user)
    assert role_in(owner, other) is None
    assert invitation_offer(token).state == "open"


def test_after_a_week_it_is_over_until_it_is_sent_again() -> None:
    (owner,), guest = team(), person()
    sent = invite(owner, guest.user.email)
    with owner.at_work():
        assert Invitation.objects.get().expires_at - timezone.now() > timedelta(days=6, hours=23)
        Invitation.objects.update(expires_at=timezone.now())
    assert invitation_offer(token_of(sent)).state == "expired"
    with pytest.raises(Conflict):
        invitation_accept(token=token_of(sent), user=guest.user)
    with owner.at_work():
        again = invitation_resend(invitation_id=sent.id, base_url=BASE)
    with pytest.raises(NotFound):
        invitation_offer(token_of(sent))
    invitation_accept(token=token_of(again), user=guest.user)
    assert role_in(owner, guest) == "member"


def test_a_revoked_one_is_over_for_good() -> None:
    (owner,), guest = team(), person()
    sent = invite(owner, guest.user.email)
    with owner.at_work():
        invitation_revoke(invitation_id=sent.id)
    assert invitation_offer(token_of(sent)).state == "revoked"
    with pytest.raises(Conflict):
        invitation_accept(token=token_of(sent), user=guest.user)
    for deed in (
        lambda: invitation_revoke(invitation_id=sent.id),
        lambda: invitation_resend(invitation_id=sent.id, base_url=BASE),
    ):
        with pytest.raises(Conflict), owner.at_work():
            deed()
    assert invite(owner, guest.user.email).id != sent.id


def test_an_address_invited_again_has_one_invitation_with_the_new_role() -> None:
    (owner,), guest = team(), person()
    first = invite(owner, guest.user.email, Role.MEMBER)
    second = invite(owner, guest.user.email.upper(), Role.ADMIN)
    assert first.id == second.id
    with pytest.raises(NotFound):
        invitation_accept(token=token_of(first), user=guest.user)
    invitation_accept(token=token_of(second), user=guest.user)
    assert role_in(owner, guest) == "admin"


def test_who_became_a_member_meanwhile_keeps_the_role() -> None:
    (owner,), guest = team(), person()
    token = token_of(invite(owner, guest.user.email, Role.ADMIN))
    with owner.at_work():
        member_add(email=guest.user.email, role=Role.VIEWER)
    invitation_accept(token=token, user=guest.user)
    assert role_in(owner, guest) == "viewer"


def test_managers_invite_and_only_owners_invite_owners() -> None:
    owner, admin, member = team(Role.ADMIN, Role.MEMBER)
    assert invite(admin, "a@example.com", Role.ADMIN)
    assert invite(owner, "b@example.com", Role.OWNER)
    with pytest.raises(PermissionRefused):
        invite(admin, "c@example.com", Role.OWNER)
    with pytest.raises(PermissionRefused):
        invite(member, "d@example.com", Role.VIEWER)


def test_inviting_says_what_is_wrong() -> None:
    owner, member = team(Role.MEMBER)
    alone = person()
    for who, email, role in (
        (owner, "no address", Role.MEMBER),
        (owner, member.user.email, Role.MEMBER),
        (owner, "new@example.com", "king"),
        (alone, "new@example.com", Role.MEMBER),
    ):
        with pytest.raises(InvalidInput):
            invite(who, email, role)


def test_the_mail_server_being_away_does_not_undo_the_invitation(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    (owner,) = team()
    sent = invite(owner, "ada@example.com")
    assert invitation_offer(token_of(sent)).state == "open"


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({}, "invitation_open_once"),
        ({"accepted_at": timezone.now(), "revoked_at": timezone.now()}, "invitation_ends_once"),
        ({"email": "b@example.com", "role": "king"}, "invitation_role_known"),
    ],
)
def test_the_database_keeps_invitations_in_shape(fields: dict[str, Any], constraint: str) -> None:
    (owner,) = team()
    invite(owner, "a@example.com")
    row = {
        "organization_id": owner.organization_id,
        "email": "a@example.com",
        "role": "member",
        "token_hash": "x",
        "sent_at": timezone.now(),
        "expires_at": timezone.now(),
    }
    with owner.at_work(), pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Invitation.objects.create(**row | fields)


def page(client: Client, path: str = "/invitation/") -> str:
    response = client.get(path, follow=True)
    assert "token=" not in response.request["QUERY_STRING"]
    assert "no-store" in response["Cache-Control"]
    return response.content.decode()


def test_a_person_signed_in_accepts_on_the_page_and_works_there_at_once() -> None:
    (owner,), guest = team(), person()
    client, link = guest.client(), invite(owner, guest.user.email).link.removeprefix(BASE[:-1])
    assert "Accept" in page(client, link)
    assert role_in(owner, guest) is None
    done = client.post("/invitation/", follow=True)
    assert done.redirect_chain == [("/settings/organization/", 302)]
    assert "Team" in done.content.decode()
    assert role_in(owner, guest) == "member"


def test_somebody_new_signs_up_and_comes_back_to_the_invitation() -> None:
    (owner,), client = team(), Client()
    link = invite(owner, "ada@example.com").link.removeprefix(BASE[:-1])
    text = page(client, link)
    assert "ada@example.com" in text
    signup = re.search(r'href="(/accounts/signup/\?next=[^"]+)"', text)
    assert signup
    form = client.get(signup[1]).content.decode()
    next_page = re.search(r'name="next"[^>]*value="([^"]+)"', form)
    assert next_page
    password = {"password1": "correct horse battery", "password2": "correct horse battery"}
    came_back = client.post(
        "/accounts/signup/", {"email": "ada@example.com", "next": next_page[1], **password}, follow=True
    )
    assert came_back.redirect_chain[-1][0] == "/invitation/"
    assert "Accept" in came_back.content.decode()
    assert "Team" in client.post("/invitation/", follow=True).content.decode()


def test_the_wrong_account_is_told_which_one_is_meant_and_may_change_over() -> None:
    (owner,), other = team(), person()
    client, link = other.client(), invite(owner, "ada@example.com").link.removeprefix(BASE[:-1])
    text = page(client, link)
    assert other.user.email in text
    assert "ada@example.com" in text
    assert "Accept" not in text
    assert client.post("/invitation/").status_code == 403
    out = re.search(r'name="next" value="([^"]+token=[^"]+)"', text)
    assert out
    after = client.post("/accounts/logout/", {"next": out[1]}, follow=True)
    assert "Create an account" in after.content.decode()


def test_links_that_are_nothing_any_more_say_so_plainly() -> None:
    (owner,), guest = team(), person()
    client, sent = guest.client(), invite(owner, guest.user.email)
    link = sent.link.removeprefix(BASE[:-1])
    assert "does not work" in page(client, "/invitation/?token=nonsense")
    assert "does not work" in page(Client())
    with owner.at_work():
        Invitation.objects.update(expires_at=timezone.now())
    assert "over" in page(client, link)
    assert client.post("/invitation/", follow=True).status_code == 200
    with owner.at_work():
        invitation_revoke(invitation_id=sent.id)
    assert "taken back" in page(client, link)
    assert role_in(owner, guest) is None


def test_nobody_signed_in_accepts_nothing() -> None:
    (owner,), client = team(), Client()
    client.get(invite(owner, "ada@example.com").link.removeprefix(BASE[:-1]))
    assert client.post("/invitation/").status_code == 401


def test_the_organizations_page_lists_sends_again_and_takes_back() -> None:
    (owner,) = team()
    client = owner.client()
    made = client.post("/settings/organization/invitations/", {"email": "ada@example.com", "role": "member"})
    assert re.search(r"http://testserver/invitation/\?token=[\w-]{43}", made.content.decode())
    assert "no-store" in made["Cache-Control"]
    listed = client.get("/settings/organization/").content.decode()
    assert "ada@example.com" in listed
    assert "token=" not in listed
    with owner.at_work():
        address = f"/settings/organization/invitations/{Invitation.objects.get().pk}"
    assert "token=" in client.post(f"{address}/resend/").content.decode()
    client.post(f"{address}/revoke/")
    gone = client.get("/settings/organization/").content.decode()
    assert 'id="invitations-title"' not in gone
    wrong = client.post("/settings/organization/invitations/", {"email": "ada", "role": "member"})
    assert wrong.status_code == 400


def test_invitations_over_the_api() -> None:
    owner, member = team(Role.MEMBER)
    api = owner.api()
    made = api.post("/api/invitations", {"email": "ada@example.com"}, content_type="application/json")
    assert (made.status_code, made.json()["role"]) == (201, "member")
    assert "token=" in made.json()["link"]
    (listed,) = api.get("/api/invitations").json()["results"]
    assert (listed["email"], listed["is_expired"]) == ("ada@example.com", False)
    assert api.post(f"/api/invitations/{listed['id']}/resend").status_code == 201
    assert api.delete(f"/api/invitations/{listed['id']}").status_code == 204
    assert api.get("/api/invitations").json()["results"] == []
    assert member.api().get("/api/invitations").status_code == 403
