from uuid import uuid4

import pytest
from django.core.management import call_command

from accounts_app.exceptions import InvalidInput, TenantRequired
from accounts_app.models import AuditLog, Membership, Organization, User
from accounts_app.receivers import audit_account
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import current_user_id, operator_atomic, tenant_context
from tests.factories.accounts import person

pytestmark = pytest.mark.django_db


def test_an_address_has_one_account() -> None:
    person("ada@example.com")
    with pytest.raises(InvalidInput) as caught:
        user_create(email=" ADA@example.com")
    assert caught.value.details[0].field == "email"
    assert User.objects.count() == 1


def test_however_an_account_comes_to_be_it_has_one_personal_organization() -> None:
    people = [
        user_create(email="service@example.com"),
        User.objects.create_user("manager@example.com"),
        User.objects.create(email="bare@example.com"),
    ]
    people[0].save()
    with operator_atomic("test"):
        for user in people:
            assert Membership.objects.get(user=user).organization.is_personal


def test_a_fixture_brings_its_own_organizations(tmp_path_factory: pytest.TempPathFactory) -> None:
    fixture = tmp_path_factory.mktemp("data") / "user.json"
    fixture.write_text(f'[{{"model": "accounts_app.user", "pk": "{uuid4()}", "fields": {{"email": "x@example.com"}}}}]')
    call_command("loaddata", str(fixture), verbosity=0)
    with operator_atomic("test"):
        assert not Organization.objects.filter(memberships__user__email="x@example.com").exists()


def test_deeds_of_somebody_without_an_organization_are_not_logged_for_anyone() -> None:
    lonely = person()
    with operator_atomic("test"):
        Membership.objects.filter(user=lonely.user).delete()
        before = AuditLog.objects.count()
    audit_account(user=lonely.user, signal=None)
    audit_account(user=None, signal=None)
    with operator_atomic("test"):
        assert AuditLog.objects.count() == before


def test_work_of_nobody_in_particular_has_no_person() -> None:
    with tenant_context(uuid4()), pytest.raises(TenantRequired):
        current_user_id()
