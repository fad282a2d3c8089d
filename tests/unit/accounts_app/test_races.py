"""What two at once may not do. Committed rows, real threads."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from accounts_app.exceptions import DeepSpaceError
from accounts_app.models import AuditLog, Membership, Organization
from accounts_app.services.api_keys import api_key_change, api_key_create
from accounts_app.services.cards import key_card
from accounts_app.services.invitations import invitation_accept, invitation_send
from accounts_app.services.projects import project_create
from accounts_app.services.tokens import access_by_token, tokens_issue, tokens_refresh
from tests.factories.accounts import person, team

pytestmark = pytest.mark.usefixtures("committed_db")


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Do all at the same moment; return what each returned, or the error that it raised."""
    barrier = threading.Barrier(len(deeds))
    results: list[Any] = [None] * len(deeds)

    def run(index: int, deed: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[index] = deed()
        except DeepSpaceError as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def refused(results: list[Any]) -> int:
    return sum(isinstance(result, DeepSpaceError) for result in results)


def test_one_refresh_token_gives_at_most_one_pair_and_a_second_use_ends_the_chain() -> None:
    who = person()
    pair = tokens_issue(user=who.user)
    results = at_once(*[lambda: tokens_refresh(refresh=pair.refresh)] * 6)
    assert refused(results) == 5
    winner = next(result for result in results if not isinstance(result, DeepSpaceError))
    with pytest.raises(DeepSpaceError):
        access_by_token(winner.access)
    with who.at_work():
        assert AuditLog.objects.filter(action="api_session.reuse").count() == 1


def test_an_invitation_is_accepted_once() -> None:
    (owner,), guest = team(), person()
    with owner.at_work():
        sent = invitation_send(email=guest.user.email, role="viewer", base_url="https://example.com/")
    token = sent.link.partition("?token=")[2]
    results = at_once(*[lambda: invitation_accept(token=token, user=guest.user)] * 4)
    assert refused(results) == 3
    assert mail.outbox[-1].to == [guest.user.email]
    with owner.at_work():
        assert Membership.objects.filter(user=guest.user, organization_id=owner.organization_id).count() == 1
        assert AuditLog.objects.filter(action="invitation.accept").count() == 1


def test_of_two_projects_with_one_name_one_is_made() -> None:
    owner = person()

    def make() -> None:
        with owner.at_work():
            project_create(name="Search")

    assert refused(at_once(make, make, make)) == 2


def test_a_card_is_never_older_than_the_revision_it_carries() -> None:
    owner = person()
    with owner.at_work():
        key = api_key_create(name="x", models=["m-0"])
    at_revision: dict[int, str] = {}
    cards: list[tuple[int, str]] = []
    done = threading.Event()

    def write() -> None:
        for number in range(1, 40):
            with owner.at_work():
                api_key_change(
                    api_key_id=key.id,
                    name="x",
                    expires_at=None,
                    project_id=None,
                    scopes=["read"],
                    models=[f"m-{number}"],
                )
                revision = Organization.objects.get(pk=owner.organization_id).policy_revision
            at_revision[revision] = f"m-{number}"
        done.set()

    def read() -> None:
        while not done.is_set():
            card = key_card(key.secret)
            cards.append((card.policy_revision, card.models[0]))

    at_once(write, read, read)
    assert len(at_revision) == 39
    assert len(cards) > 10
    assert all(at_revision.get(revision, "m-0") == model for revision, model in cards)
