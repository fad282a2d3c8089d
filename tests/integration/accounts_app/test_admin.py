"""Django's admin: staff only, above all tenants, on record; logs are read only."""

from io import StringIO

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.models import ApiKey, AuditLog, Membership, Organization, Role, User
from accounts_app.tenancy.context import operator_atomic
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db
OWN = [User, Organization, Membership, ApiKey, AuditLog]


@pytest.fixture
def operator() -> Client:
    return person("root@example.com", is_operator=True).client()


@pytest.fixture
def someone() -> Person:
    owner, _member = team(Role.MEMBER)
    owner.key()
    return owner


def address(model: type[Model], page: str, *arguments: object) -> str:
    return reverse(f"admin:accounts_app_{model._meta.model_name}_{page}", args=arguments)


def row(model: type[Model]) -> Model:
    with operator_atomic("test"):
        found = model._default_manager.first()
    assert found
    return found


@pytest.mark.parametrize("model", OWN)
@pytest.mark.usefixtures("someone")
def test_lists_and_pages_of_every_model_open_across_tenants(operator: Client, model: type[Model]) -> None:
    listed = operator.get(address(model, "changelist"), {"q": "x"})
    assert listed.status_code == 200
    assert operator.get(address(model, "changelist")).context["cl"].result_count > 0
    assert operator.get(address(model, "change", row(model).pk)).status_code == 200


@pytest.mark.parametrize("model", [ApiKey, AuditLog])
@pytest.mark.usefixtures("someone")
def test_keys_and_logs_are_not_written(operator: Client, model: type[Model]) -> None:
    pk = row(model).pk
    assert operator.get(address(model, "add")).status_code == 403
    assert operator.post(address(model, "change", pk), {}).status_code == 403
    assert operator.post(address(model, "delete", pk), {"post": "yes"}).status_code == 403
    assert "secret_hash" not in operator.get(address(model, "change", pk)).content.decode()


def test_a_key_is_revoked_by_an_action_that_is_on_record(operator: Client, someone: Person) -> None:
    with someone.at_work():
        key = ApiKey.objects.get()
    operator.post(address(ApiKey, "changelist"), {"action": "revoke", "_selected_action": [str(key.pk)]})
    with operator_atomic("test"):
        assert ApiKey.objects.get(pk=key.pk).revoked_at
        entries = AuditLog.objects.filter(operator="admin:root@example.com")
        assert {entry.action for entry in entries} == {"admin.request", "api_key.revoke"}
        assert {entry.user_id for entry in entries} == {User.objects.get(email="root@example.com").pk}
        assert len({entry.trace_id for entry in entries}) == 1


def test_looking_leaves_no_row(operator: Client) -> None:
    operator.get(address(User, "changelist"))
    with operator_atomic("test"):
        assert not AuditLog.objects.filter(action="admin.request").exists()


def test_people_who_are_not_staff_stay_out(someone: Person) -> None:
    response = someone.client().get("/admin/")
    assert response.status_code == 302
    assert someone.client().get(response["Location"]).status_code == 403
    assert Client().get("/admin/", follow=True).redirect_chain[-1][0].startswith("/accounts/login/?next=")


def test_staff_outside_the_admin_are_ordinary_tenants(someone: Person) -> None:
    root = person(is_operator=True)
    keys = root.api().get("/api/keys/").json()["results"]
    assert [key["name"] for key in keys] == ["test"]


def test_a_key_of_a_staff_member_does_not_open_the_admin() -> None:
    assert person(is_operator=True).api().get("/admin/").status_code == 302


def test_a_user_added_by_staff_has_a_personal_organization(operator: Client) -> None:
    form = {"email": "New@Example.com", "usable_password": "false"}
    assert operator.post(address(User, "add"), form).status_code == 302
    with operator_atomic("test"):
        assert Membership.objects.get(user__email="new@example.com").role == Role.OWNER


def test_organizations_are_neither_added_nor_deleted_here(operator: Client, someone: Person) -> None:
    assert operator.get(address(Organization, "add")).status_code == 403
    assert operator.get(address(Organization, "delete", someone.organization_id)).status_code == 403


def test_an_organization_is_renamed_here(operator: Client, someone: Person) -> None:
    page = operator.get(address(Organization, "change", someone.organization_id))
    formset = page.context["inline_admin_formsets"][0].formset
    form = {f"memberships-{name}": value for name, value in formset.management_form.initial.items()}
    for index, member in enumerate(formset.forms):
        form |= {
            f"memberships-{index}-id": member.instance.pk,
            f"memberships-{index}-organization": someone.organization_id,
            f"memberships-{index}-user": member.instance.user_id,
            f"memberships-{index}-role": member.instance.role,
        }
    response = operator.post(address(Organization, "change", someone.organization_id), form | {"name": "Renamed"})
    assert response.status_code == 302
    with someone.at_work():
        assert Organization.objects.get(pk=someone.organization_id).name == "Renamed"


def test_createsuperuser_makes_a_personal_organization_too() -> None:
    call_command("createsuperuser", email="chief@example.com", interactive=False, stdout=StringIO())
    user = User.objects.get(email="chief@example.com")
    assert (user.is_staff, user.is_superuser) == (True, True)
    with operator_atomic("test"):
        assert Membership.objects.get(user=user).organization.is_personal


def test_every_append_only_model_of_ours_is_read_only() -> None:
    assert isinstance(admin.site._registry[AuditLog], ReadOnlyAdmin)
    assert isinstance(admin.site._registry[ApiKey], ReadOnlyAdmin)
