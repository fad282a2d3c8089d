import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from accounts_app.models import AuditLog, Membership, Organization
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import operator_atomic, tenant_atomic, tenant_context


@pytest.mark.django_db
def test_user_create_makes_a_personal_organization() -> None:
    user = user_create(email="ada@example.com", password="correct horse")
    with operator_atomic("test"):
        membership = Membership.objects.get(user=user)
    with tenant_atomic(membership.organization_id, user.pk):
        assert Organization.objects.get().name == "ada"
        assert AuditLog.objects.get().action == "organization.create"


@pytest.mark.django_db
def test_without_context_nothing_is_visible() -> None:
    user_create(email="ada@example.com")
    assert Membership.objects.count() == 0
    assert Organization.objects.count() == 0


@pytest.mark.django_db
def test_nested_contexts_switch_there_and_back() -> None:
    first, second = user_create(email="a@example.com"), user_create(email="b@example.com")
    with operator_atomic("test"):
        ids = {m.user_id: m.organization_id for m in Membership.objects.all()}
    with tenant_atomic(ids[first.pk], first.pk):
        with tenant_context(ids[second.pk], second.pk):
            assert [m.user_id for m in Membership.objects.all()] == [second.pk]
        assert [m.user_id for m in Membership.objects.all()] == [first.pk]
    assert Membership.objects.count() == 0


@pytest.mark.django_db
def test_context_survives_a_rolled_back_savepoint() -> None:
    first, second = user_create(email="a@example.com"), user_create(email="b@example.com")
    with operator_atomic("test"):
        ids = {m.user_id: m.organization_id for m in Membership.objects.all()}
    with tenant_atomic(ids[first.pk], first.pk):
        with pytest.raises(ZeroDivisionError), tenant_atomic(ids[second.pk], second.pk):
            raise ZeroDivisionError
        assert [m.user_id for m in Membership.objects.all()] == [first.pk]


@pytest.mark.usefixtures("committed_db")
def test_bound_tenant_refuses_a_query_outside_a_transaction() -> None:
    with transaction.atomic():
        user = user_create(email="guard@example.com")
    with tenant_context(user.pk, user.pk), pytest.raises(ImproperlyConfigured, match=r"transaction\.atomic"):
        Membership.objects.count()
