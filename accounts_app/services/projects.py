"""Projects of the bound organization: everybody who may write makes and changes them."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, InvalidInput, NotFound, PermissionRefused
from accounts_app.models import Project
from accounts_app.services.audit import audit_record
from accounts_app.services.principals import can_manage, can_write
from accounts_app.tenancy.context import current_organization_id, current_tenant

NAME_LENGTH = 80
DESCRIPTION_LENGTH = 300


@transaction.atomic
def project_create(*, name: str, description: str = "", log_prompts: bool = False) -> Project:
    """Make a project. Raises InvalidInput for a name that is empty, long or taken, PermissionRefused for viewers.

    ``log_prompts`` lets prompts and answers into the logs, and is for managers to decide.
    """
    _check_may_write()
    _check_may_log(log_prompts, before=False)
    tenant = current_tenant()
    project = Project(organization_id=current_organization_id(), user_id=tenant.user_id, log_prompts=log_prompts)
    project.name, project.description = _valid_name(name), description.strip()[:DESCRIPTION_LENGTH]
    _save(project, InvalidInput.for_field("name", _("There is a project of this name already.")))
    _audit("project.create", project, name=project.name)
    return project


@transaction.atomic
def project_change(*, project_id: UUID, name: str, description: str, log_prompts: bool) -> Project:
    """Rename and describe a project, and decide about its logs. Raises as `project_create`, NotFound too."""
    project = _project_for_change(project_id)
    _check_may_log(log_prompts, before=project.log_prompts)
    before = {"name": project.name, "log_prompts": project.log_prompts}
    project.name, project.description = _valid_name(name), description.strip()[:DESCRIPTION_LENGTH]
    project.log_prompts = log_prompts
    _save(project, InvalidInput.for_field("name", _("There is a project of this name already.")))
    _audit("project.change", project, name=project.name, log_prompts=log_prompts, before=before)
    return project


@transaction.atomic
def project_archive(*, project_id: UUID) -> Project:
    """Put a project away: its keys are refused, its figures stay. A second time changes nothing."""
    project = _project_for_change(project_id)
    if project.archived_at is None:
        project.archived_at = timezone.now()
        project.save(update_fields=["archived_at"])
        _audit("project.archive", project)
    return project


@transaction.atomic
def project_restore(*, project_id: UUID) -> Project:
    """Take a project back; its keys work again. Raises Conflict when another has its name by now."""
    project = _project_for_change(project_id)
    if project.archived_at is not None:
        project.archived_at = None
        _save(project, Conflict(_("Another project has this name by now. Rename that one first.")))
        _audit("project.restore", project)
    return project


def _project_for_change(project_id: UUID) -> Project:
    # Locked, so that of two changes at once the second sees the first.
    projects = Project.objects.select_for_update().filter(organization_id=current_organization_id())
    project = projects.filter(pk=project_id).first()
    if project is None:
        raise NotFound
    _check_may_write()
    return project


def _save(project: Project, taken: InvalidInput | Conflict) -> None:
    try:
        with transaction.atomic():
            project.save()
    except IntegrityError as error:
        raise taken from error


def _check_may_write() -> None:
    if not can_write(current_tenant()):
        raise PermissionRefused


def _check_may_log(log_prompts: bool, *, before: bool) -> None:
    if log_prompts != before and not can_manage(current_tenant()):
        raise PermissionRefused(_("Only owners and admins decide whether prompts are logged."))


def _valid_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise InvalidInput.for_field("name", _("Give the project a name."))
    if len(name) > NAME_LENGTH:
        raise InvalidInput.for_field("name", _("The name may have at most 80 characters."))
    return name


def _audit(action: str, project: Project, **data: object) -> None:
    audit_record(action=action, target_type="project", target_id=project.pk, data=data)
