"""IP rules of the bound organization, for all of it, one project or one key. Owners and admins decide."""

from typing import TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.models import ApiKey, IpAction, IpRule, Project
from accounts_app.models.ip_rule import network_text
from accounts_app.services.audit import audit_record
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id, current_tenant

NOTE_LENGTH = 120

Row = TypeVar("Row", bound=Model)


@transaction.atomic
def ip_rule_add(
    *, action: str, network: str, note: str = "", project_id: UUID | None = None, api_key_id: UUID | None = None
) -> IpRule:
    """Allow or deny a network, as ``203.0.113.7``, ``203.0.113.0/24``, ``2001:db8::/32``.

    Raises InvalidInput for what is no network, is listed already, or names a project and a key; NotFound for a project
    or key that is not the organization's; PermissionRefused for all but owners and admins.
    """
    _check_manages()
    if action not in IpAction.values:
        raise InvalidInput.for_field("action", _("Choose whether to allow or to deny."))
    if project_id and api_key_id:
        raise InvalidInput.for_field("api_key", _("A rule is for a project or for a key, not for both."))
    rule = IpRule(
        organization_id=current_organization_id(),
        user_id=current_tenant().user_id,
        action=action,
        network=_valid_network(network),
        note=note.strip()[:NOTE_LENGTH],
        project=_mine(Project.objects.all(), project_id),
        api_key=_mine(ApiKey.objects.all(), api_key_id),
    )
    try:
        with transaction.atomic():
            rule.save(force_insert=True)
    except IntegrityError as error:
        raise InvalidInput.for_field("network", _("This address or network is in the list already.")) from error
    _audit("ip_rule.add", rule)
    return rule


@transaction.atomic
def ip_rule_remove(*, rule_id: UUID) -> IpRule:
    """Take a rule away. Raises NotFound, PermissionRefused."""
    rule = IpRule.objects.filter(organization_id=current_organization_id(), pk=rule_id).first()
    if rule is None:
        raise NotFound
    _check_manages()
    _audit("ip_rule.remove", rule)
    IpRule.objects.filter(pk=rule.pk).delete()
    return rule


def _check_manages() -> None:
    if not can_manage(current_tenant()):
        raise PermissionRefused


def _valid_network(network: str) -> str:
    try:
        return network_text(network)
    except ValidationError as error:
        raise InvalidInput.for_field("network", error.message_dict["network"][0]) from error


def _mine(rows: QuerySet[Row], row_id: UUID | None) -> Row | None:
    if row_id is None:
        return None
    row = rows.filter(organization_id=current_organization_id(), pk=row_id).first()
    if row is None:
        raise NotFound(_("There is no such project or key."))
    return row


def _audit(action: str, rule: IpRule) -> None:
    data = {"rule": str(rule), "project": str(rule.project_id or ""), "api_key": str(rule.api_key_id or "")}
    audit_record(action=action, target_type="ip_rule", target_id=rule.pk, data=data)
