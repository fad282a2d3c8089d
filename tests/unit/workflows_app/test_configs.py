"""Versions: seeds, drafts, publishing, and what the database itself refuses."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import override

from accounts_app.exceptions import Conflict, NotFound
from accounts_app.models import AuditLog
from accounts_app.tenancy.context import Tenant, operator_atomic
from tests.factories.workflows import acting, document, made_up_config, owner
from workflows_app.exceptions import ConfigInvalid, RunStateConflict, WorkspaceUnknown
from workflows_app.models import ConfigStatus, WorkflowConfig, Workspace
from workflows_app.selectors import configs_readable, workspace_list
from workflows_app.services.configs import (
    config_by_id,
    config_draft_create,
    config_draft_update,
    config_for,
    config_publish,
    problems_of,
    stage_after,
)
from workflows_app.services.seeds import NAMES, SeedChanged, document_load, seed, seed_documents

pytestmark = pytest.mark.django_db

SPEC = json.loads((Path(__file__).parent / "spec_article.json").read_text(encoding="utf-8"))


def spec(version: str = "2.0.0", **fields: Any) -> Any:
    return copy.deepcopy(SPEC) | {"version": version} | fields


@pytest.fixture
def tenant() -> Tenant:
    return owner()


def test_the_documented_workflow_is_drafted_and_published_as_it_stands(tenant: Tenant) -> None:
    with acting(tenant):
        draft = config_draft_create(workspace_key="article", document=SPEC)
        assert config_publish(config_id=draft.pk).status == ConfigStatus.PUBLISHED
        config = config_for("article")
    assert (config.id, config.start, sorted(config.stages)) == (draft.pk, "A", ["A", "B", "D"])
    assert stage_after(config, "A") is None


def test_each_active_workspace_has_a_shared_default(tenant: Tenant) -> None:
    with acting(tenant):
        configs = {key: config_for(key) for key in ("article", "prompt", "general")}
    assert [stage_after(configs["article"], key) for key in "ABCDE"] == ["D", "D", "D", "E", None]
    assert stage_after(configs["article"], "Z") is None
    assert {config.version for config in configs.values()} == {"1.1.0"}


def test_video_is_switched_off(tenant: Tenant) -> None:
    with acting(tenant):
        assert [workspace.key for workspace in workspace_list()] == ["article", "general", "prompt"]
        assert len(workspace_list(active_only=False)) == 4
        with pytest.raises(WorkspaceUnknown):
            config_for("video")
        with pytest.raises(WorkspaceUnknown):
            config_draft_create(workspace_key="video", document=spec(workspace="video"))


def test_workspaces_are_named_in_the_active_language(tenant: Tenant) -> None:
    with acting(tenant):
        with override("zh-hans"):
            assert workspace_list()[0].name == "文章"
        with override("en"):
            assert workspace_list()[0].name == "Article"


def test_shipped_names_come_in_the_active_language(tenant: Tenant) -> None:
    with acting(tenant), override("zh-hans"):
        config = config_for("article")
    assert (config.name, config.stages["E"].name) == ("文章", "定稿")


def test_every_shipped_name_is_in_the_catalogue() -> None:
    for shipped in seed_documents():
        names = {shipped["name"], *(stage["name"] for stage in shipped["stages"].values())}
        assert names <= set(NAMES)


def test_an_organizations_own_default_comes_before_the_shared_one(tenant: Tenant) -> None:
    with acting(tenant):
        draft = config_draft_create(workspace_key="article", document=spec())
        assert config_for("article").version == "1.1.0"
        config_publish(config_id=draft.pk)
        assert config_for("article").version == "2.0.0"
    with acting(owner()):
        assert config_for("article").version == "1.1.0"


def test_publishing_takes_the_default_from_the_one_before(tenant: Tenant) -> None:
    with acting(tenant):
        for version in ("2.0.0", "3.0.0"):
            config_publish(config_id=config_draft_create(workspace_key="article", document=spec(version)).pk)
        config_publish(
            config_id=config_draft_create(workspace_key="article", document=spec("4.0.0")).pk, make_default=False
        )
        own = configs_readable().filter(organization__isnull=False, is_default=True)
        assert [config.version for config in own] == ["3.0.0"]


def test_a_draft_may_have_errors_but_is_not_published_with_them(tenant: Tenant) -> None:
    broken = spec()
    broken["stages"]["A"]["steps"][2]["via"] = "teleport"
    broken["defaults"]["start"] = "Q"
    with acting(tenant):
        draft = config_draft_create(workspace_key="article", document=broken)
        assert {item.pointer for item in problems_of(draft)} >= {"/defaults/start", "/stages/A/steps/2/via"}
        with pytest.raises(ConfigInvalid) as caught:
            config_publish(config_id=draft.pk)
        assert [item.field for item in caught.value.details] == ["/defaults/start", "/stages/A/steps/2/via"]
        config_draft_update(config_id=draft.pk, document=spec("2.1.0"), name="Better", notes="why")
        published = config_publish(config_id=draft.pk)
    assert (published.version, published.name, published.notes) == ("2.1.0", "Better", "why")


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [("text", ""), (spec("one"), "/version"), (spec(workspace="general"), "/workspace"), ({"version": 1}, "/version")],
)
def test_a_draft_needs_at_least_a_shape(tenant: Tenant, bad: Any, pointer: str) -> None:
    with acting(tenant), pytest.raises(ConfigInvalid) as caught:
        config_draft_create(workspace_key="article", document=bad)
    assert pointer in [item.field for item in caught.value.details]


def test_a_version_exists_once(tenant: Tenant) -> None:
    with acting(tenant):
        config_draft_create(workspace_key="article", document=spec())
        other = config_draft_create(workspace_key="article", document=spec("2.0.1"))
        with pytest.raises(Conflict):
            config_draft_create(workspace_key="article", document=spec())
        with pytest.raises(Conflict):
            config_draft_update(config_id=other.pk, document=spec())
    with acting(owner()):
        config_draft_create(workspace_key="article", document=spec())


def test_a_published_version_is_no_draft_any_more(tenant: Tenant) -> None:
    with acting(tenant):
        draft = config_draft_create(workspace_key="article", document=spec())
        config_publish(config_id=draft.pk)
        with pytest.raises(RunStateConflict):
            config_draft_update(config_id=draft.pk, document=spec("9.0.0"))
        with pytest.raises(RunStateConflict):
            config_publish(config_id=draft.pk)


def test_the_database_refuses_to_change_a_published_version(tenant: Tenant) -> None:
    config = made_up_config(tenant, "first")
    changes: list[dict[str, Any]] = [
        {"config": {}},
        {"version": "7.7.7"},
        {"name": "other"},
        {"status": "draft", "published_at": None},
    ]
    with acting(tenant):
        rows = WorkflowConfig.objects.filter(pk=config.pk)
        for change in changes:
            with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
                rows.update(**change)
        with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
            rows.delete()
        assert rows.update(is_default=True) == 1


def test_shared_versions_are_read_by_all_and_written_by_none(tenant: Tenant) -> None:
    with acting(tenant):
        shared = configs_readable().filter(organization__isnull=True).first()
        assert shared is not None
        assert config_by_id(shared.pk).workspace
        assert WorkflowConfig.objects.filter(pk=shared.pk).update(is_default=False) == 0
        with pytest.raises(NotFound):
            config_publish(config_id=shared.pk)
        with pytest.raises(Exception, match="row-level security"), transaction.atomic():
            WorkflowConfig.objects.create(workspace_id="general", version="5.5.5", name="x", config={})


def test_another_organizations_version_is_not_there(tenant: Tenant) -> None:
    config = made_up_config(tenant, "first")
    with acting(owner()):
        with pytest.raises(NotFound):
            config_by_id(config.pk)
        with pytest.raises(NotFound):
            config_draft_update(config_id=config.pk, document=spec())


def test_changes_are_audited(tenant: Tenant) -> None:
    with acting(tenant):
        draft = config_draft_create(workspace_key="article", document=spec())
        config_draft_update(config_id=draft.pk, document=spec("2.0.1"))
        config_publish(config_id=draft.pk)
        actions = set(AuditLog.objects.filter(target_id=str(draft.pk)).values_list("action", flat=True))
    assert actions == {"workflow.draft", "workflow.edit", "workflow.publish"}


def test_seeding_again_changes_nothing() -> None:
    with operator_atomic("seed"):
        before = list(WorkflowConfig.objects.order_by("pk").values())
        Workspace.objects.filter(key="video").update(is_active=True)
        assert seed(sender=None) == 3
        assert list(WorkflowConfig.objects.order_by("pk").values()) == before
        assert Workspace.objects.get(key="video").is_active


def test_a_shipped_workflow_that_changed_without_a_new_version_is_refused() -> None:
    other = document([{"action": "finish"}], name="Other", notes="", version="1.1.0")
    with operator_atomic("seed"), pytest.raises(SeedChanged):
        document_load(other)


def test_a_newer_shipped_workflow_becomes_the_default(tenant: Tenant) -> None:
    with operator_atomic("seed"):
        document_load(document([{"action": "finish"}], name="Newer", notes="", version="1.2.0"))
    with acting(tenant):
        assert config_for("general").version == "1.2.0"


def published(tenant: Tenant, **fields: Any) -> WorkflowConfig:
    values: dict[str, Any] = {
        "organization_id": tenant.organization_id,
        "workspace_id": "general",
        "version": "1.0.0",
        "name": "n",
        "status": ConfigStatus.PUBLISHED,
        "published_at": timezone.now(),
        "config": {},
    }
    return WorkflowConfig.objects.create(**(values | fields))


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"version": "1.0.1", "is_default": True}, "config_one_default"),
        ({"workspace_id": "article"}, "config_name_version_once"),
        ({"version": "1.0.2", "status": "lost"}, "config_published_at_paired"),
        (
            {"version": "1.0.2", "status": "draft", "published_at": None, "is_default": True},
            "config_default_is_published",
        ),
        ({"version": "1.0.2", "published_at": None}, "config_published_at_paired"),
    ],
)
def test_constraints_of_versions(tenant: Tenant, fields: dict[str, Any], constraint: str) -> None:
    with acting(tenant):
        published(tenant, is_default=True)
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            published(tenant, **fields)


def test_a_workspace_has_a_known_key() -> None:
    with operator_atomic("test"), pytest.raises(IntegrityError, match="workspace_key_known"), transaction.atomic():
        Workspace.objects.create(key="music", name="m", name_zh_hans="m")
