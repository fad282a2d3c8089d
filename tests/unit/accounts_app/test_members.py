import threading
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from accounts_app.exceptions import DeepSpaceError, InvalidInput, LastOwner, NotFound, PermissionRefused
from accounts_app.models import AuditLog, Membership, Role, User
from accounts_app.services.members import member_add, member_remove, member_role_set, organization_leave
from accounts_app.services.organizations import organization_create
from accounts_app.signals import organization_created
from tests.factories.accounts import Person, member_of, person, team


def membership_id(of: Person) -> UUID:
    with of.at_work():
        return Membership.objects.get(organization_id=of.organization_id, user=of.user).pk


def role_of(who: Person, seen_by: Person) -> str | None:
    with seen_by.at_work():
        return (
            Membership.objects.filter(organization_id=who.organization_id, user=who.user)
            .values_list("role", flat=True)
            .first()
        )


@pytest.mark.django_db
def test_an_organization_begins_with_its_owner_and_tells_the_rooms_above() -> None:
    told: list[Any] = []

    def receive(organization_id: UUID, **_signal: Any) -> None:
        told.append(organization_id)

    founder = person()
    organization_created.connect(receive)
    try:
        organization = organization_create(user=founder.user, name="  Team  ")
    finally:
        organization_created.disconnect(receive)
    assert (organization.name, organization.is_personal, told) == ("Team", False, [organization.pk])


@pytest.mark.django_db
def test_an_organization_needs_a_name() -> None:
    with pytest.raises(InvalidInput):
        organization_create(user=person().user, name="   ")


@pytest.mark.django_db
@pytest.mark.parametrize("actor", [Role.OWNER, Role.ADMIN])
def test_managers_add_members_and_the_log_says_so(actor: str) -> None:
    owner, admin = team(Role.ADMIN)
    manager, newcomer = {Role.OWNER: owner, Role.ADMIN: admin}[Role(actor)], person()
    with manager.at_work():
        member_add(email=f" {newcomer.user.email.upper()} ", role=Role.VIEWER)
        entry = AuditLog.objects.filter(action="member.add").first()
    assert entry is not None
    assert (entry.target_id, entry.user_id, entry.data) == (str(newcomer.id), manager.id, {"role": "viewer"})


@pytest.mark.django_db
@pytest.mark.parametrize("actor", [Role.MEMBER, Role.VIEWER])
def test_others_do_not_manage(actor: str) -> None:
    owner, other = team(actor)
    newcomer = person()
    for deed in (
        lambda: member_add(email=newcomer.user.email, role=Role.MEMBER),
        lambda: member_role_set(membership_id=membership_id(owner), role=Role.VIEWER),
        lambda: member_remove(membership_id=membership_id(owner)),
    ):
        with pytest.raises(PermissionRefused), other.at_work():
            deed()


@pytest.mark.django_db
def test_adding_says_what_is_wrong() -> None:
    owner, member = team(Role.MEMBER)
    for email in ("nobody@example.com", member.user.email):
        with pytest.raises(InvalidInput) as caught, owner.at_work():
            member_add(email=email, role=Role.MEMBER)
        assert caught.value.details[0].field == "email"
    with pytest.raises(InvalidInput) as caught, owner.at_work():
        member_add(email=person().user.email, role="emperor")
    assert caught.value.details[0].field == "role"


@pytest.mark.django_db
def test_closed_accounts_are_not_added() -> None:
    (owner,) = team()
    closed = person()
    User.objects.filter(pk=closed.id).update(is_active=False)
    with pytest.raises(InvalidInput), owner.at_work():
        member_add(email=closed.user.email, role=Role.MEMBER)


@pytest.mark.django_db
def test_a_personal_organization_stays_with_one_person() -> None:
    owner = person()
    with pytest.raises(InvalidInput, match="personal"), owner.at_work():
        member_add(email=person().user.email, role=Role.MEMBER)


@pytest.mark.django_db
def test_roles_change_and_the_log_keeps_both() -> None:
    owner, member = team(Role.MEMBER)
    with owner.at_work():
        member_role_set(membership_id=membership_id(member), role=Role.ADMIN)
        entry = AuditLog.objects.get(action="member.role")
    assert role_of(member, owner) == Role.ADMIN
    assert entry.data == {"role": "admin", "before": "member"}


@pytest.mark.django_db
def test_an_admin_does_not_touch_owners() -> None:
    owner, admin, member = team(Role.ADMIN, Role.MEMBER)
    for deed in (
        lambda: member_add(email=person().user.email, role=Role.OWNER),
        lambda: member_role_set(membership_id=membership_id(member), role=Role.OWNER),
        lambda: member_role_set(membership_id=membership_id(owner), role=Role.VIEWER),
        lambda: member_remove(membership_id=membership_id(owner)),
    ):
        with pytest.raises(PermissionRefused), admin.at_work():
            deed()
    assert role_of(owner, owner) == Role.OWNER


@pytest.mark.django_db
def test_the_last_owner_stays_owner() -> None:
    owner, _admin = team(Role.ADMIN)
    for deed in (
        lambda: member_role_set(membership_id=membership_id(owner), role=Role.ADMIN),
        lambda: member_remove(membership_id=membership_id(owner)),
        organization_leave,
    ):
        with pytest.raises(LastOwner), owner.at_work():
            deed()
    assert role_of(owner, owner) == Role.OWNER


@pytest.mark.django_db
def test_an_owner_leaves_when_there_is_another() -> None:
    owner, second = team(Role.OWNER)
    with owner.at_work():
        organization_leave()
    assert role_of(owner, second) is None
    with pytest.raises(NotFound), owner.at_work():
        organization_leave()


@pytest.mark.django_db
def test_members_of_other_organizations_are_not_found() -> None:
    (owner,) = team()
    _other_owner, stranger = team(Role.MEMBER)
    for deed in (
        lambda: member_role_set(membership_id=membership_id(stranger), role=Role.VIEWER),
        lambda: member_remove(membership_id=membership_id(stranger)),
    ):
        with pytest.raises(NotFound), owner.at_work():
            deed()


@pytest.mark.usefixtures("committed_db")
def test_of_two_owners_who_leave_at_once_one_stays() -> None:
    owner = team()[0]
    owners = [owner, member_of(owner, Role.OWNER)]
    barrier = threading.Barrier(2)
    refused: list[DeepSpaceError] = []

    def leave(who: Person) -> None:
        from django.db import connection

        barrier.wait()
        try:
            with who.at_work():
                organization_leave()
        except LastOwner as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=[who]) for who in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    with owner.at_work():
        assert Membership.objects.filter(organization_id=owner.organization_id).count() == 1


@pytest.mark.django_db
def test_a_person_is_a_member_once() -> None:
    owner = person()
    with pytest.raises(IntegrityError, match="membership_once"), owner.at_work():
        Membership.objects.create(organization_id=owner.organization_id, user=owner.user, role=Role.VIEWER)


@pytest.mark.django_db
def test_the_database_knows_the_roles() -> None:
    owner = person()
    with pytest.raises(IntegrityError, match="membership_role_known"), owner.at_work():
        Membership.objects.update(role="emperor")


@pytest.mark.django_db
def test_addresses_are_kept_in_lower_case() -> None:
    assert person("Ada@EXAMPLE.com").user.email == "ada@example.com"
    with pytest.raises(IntegrityError, match="user_email_lowercase"):
        User.objects.update(email="ADA@example.com")
