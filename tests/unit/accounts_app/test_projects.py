from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction

from accounts_app.exceptions import Conflict, InvalidInput, NotFound, PermissionRefused
from accounts_app.models import ApiKey, AuditLog, Project, Role
from accounts_app.selectors import project_list
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.projects import project_archive, project_change, project_create, project_restore
from tests.factories.accounts import person, team

pytestmark = pytest.mark.django_db


def test_a_member_makes_a_project_that_everybody_in_the_organization_uses_and_the_log_says_so() -> None:
    owner, member, viewer = team(Role.MEMBER, Role.VIEWER)
    with member.at_work():
        project = project_create(name="  Search ", description=" finds things ")
        assert AuditLog.objects.filter(action="project.create", target_id=str(project.pk)).exists()
    assert (project.name, project.description, project.log_prompts) == ("Search", "finds things", False)
    with owner.at_work():
        assert api_key_create(name="k", project_id=project.pk)
    with viewer.at_work():
        assert list(project_list()) == [project]


def test_a_viewer_makes_and_changes_none() -> None:
    owner, viewer = team(Role.VIEWER)
    with owner.at_work():
        project = project_create(name="Search")
    deeds: tuple[Callable[[], Project], ...] = (
        lambda: project_create(name="x"),
        lambda: project_change(project_id=project.pk, name="x", description="", log_prompts=False),
        lambda: project_archive(project_id=project.pk),
        lambda: project_restore(project_id=project.pk),
    )
    for deed in deeds:
        with pytest.raises(PermissionRefused), viewer.at_work():
            deed()


def test_only_managers_let_prompts_into_the_logs() -> None:
    owner, member = team(Role.MEMBER)
    with pytest.raises(PermissionRefused), member.at_work():
        project_create(name="x", log_prompts=True)
    with owner.at_work():
        project = project_create(name="y", log_prompts=True)
    with member.at_work():
        assert project_change(project_id=project.pk, name="z", description="", log_prompts=True).name == "z"
    with pytest.raises(PermissionRefused), member.at_work():
        project_change(project_id=project.pk, name="z", description="", log_prompts=False)


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_project_needs_a_name_of_reasonable_length(name: str) -> None:
    with person().at_work(), pytest.raises(InvalidInput) as caught:
        project_create(name=name)
    assert caught.value.details[0].field == "name"


def test_names_are_taken_once_whatever_their_case_until_archived() -> None:
    owner, other = person(), person()
    with owner.at_work():
        first = project_create(name="Search")
        with pytest.raises(InvalidInput, match="already"):
            project_create(name="SEARCH")
        project_archive(project_id=first.pk)
        second = project_create(name="search")
        with pytest.raises(Conflict, match="this name"):
            project_restore(project_id=first.pk)
        project_change(project_id=second.pk, name="Other", description="", log_prompts=False)
        assert project_restore(project_id=first.pk).archived_at is None
    with other.at_work():
        assert project_create(name="Search")


def test_archiving_and_restoring_again_change_and_record_nothing() -> None:
    owner = person()
    with owner.at_work():
        project = project_create(name="Search")
        first = project_archive(project_id=project.pk).archived_at
        assert project_archive(project_id=project.pk).archived_at == first
        project_restore(project_id=project.pk)
        project_restore(project_id=project.pk)
        actions = AuditLog.objects.filter(target_id=str(project.pk)).values_list("action", flat=True)
        assert sorted(actions) == ["project.archive", "project.create", "project.restore"]


def test_a_new_key_joins_no_archived_project_and_no_strangers() -> None:
    owner, stranger = person(), person()
    with owner.at_work():
        project = project_create(name="Search")
        kept = api_key_create(name="kept", project_id=project.pk)
        project_archive(project_id=project.pk)
        with pytest.raises(InvalidInput) as caught:
            api_key_create(name="new", project_id=project.pk)
        assert caught.value.details[0].field == "project"
        assert ApiKey.objects.get(pk=kept.id).project_id == project.pk
    with pytest.raises(NotFound), stranger.at_work():
        api_key_create(name="new", project_id=project.pk)


def test_the_database_refuses_two_of_one_name_and_a_key_in_anothers_project() -> None:
    owner, stranger = person(), person()
    with owner.at_work():
        project = project_create(name="Search")
        with pytest.raises(IntegrityError, match="project_name_once"), transaction.atomic():
            Project.objects.create(organization_id=owner.organization_id, name="sEARCH")
    with pytest.raises(IntegrityError, match="refers to no row"), stranger.at_work():
        ApiKey.objects.create(
            organization_id=stranger.organization_id, name="x", prefix="x", secret_hash="x", project_id=project.pk
        )


def test_projects_over_the_api() -> None:
    api = person().api()
    made = api.post("/api/projects", {"name": "Search"}, content_type="application/json")
    assert made.status_code == 201
    address = f"/api/projects/{made.json()['id']}"
    changed = api.patch(address, {"description": "finds"}, content_type="application/json").json()
    assert (changed["name"], changed["description"], changed["log_prompts"]) == ("Search", "finds", False)
    assert api.post(f"{address}/archive").json()["archived_at"]
    assert api.post(f"{address}/restore").json()["archived_at"] is None
    assert [each["name"] for each in api.get("/api/projects").json()["results"]] == ["Search"]
    refused = api.post("/api/projects", {"name": " "}, content_type="application/json")
    assert (refused.status_code, refused.json()["error"]["details"][0]["field"]) == (400, "name")
