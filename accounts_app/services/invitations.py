"""Invitations to the bound organization, by mail, with a token that works once within a week."""

import secrets
from datetime import timedelta
from urllib.parse import urlencode, urljoin
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts_app.contracts import InvitationOffer, SentInvitation
from accounts_app.exceptions import Conflict, InvalidInput, NotFound, WrongAccount
from accounts_app.models import Invitation, Membership, Organization, Role, User
from accounts_app.services.audit import audit_record
from accounts_app.services.cards import key_hash
from accounts_app.services.members import check_role, managed_organization
from accounts_app.tenancy.context import Tenant, bound, current_organization_id, current_user_id

LIFETIME = timedelta(days=7)


@transaction.atomic
def invitation_send(*, email: str, role: str, base_url: str) -> SentInvitation:
    """Invite an address; one invited before gets a new link, with this role, and the old one stops.

    ``base_url`` is where this system is reached, for the link in the mail. Raises InvalidInput: no address, a member
    already, a personal organization; PermissionRefused for all but owners and admins.
    """
    organization = managed_organization()
    check_role(role, touching_owner=role == Role.OWNER)
    email = _valid_email(email, organization)
    invitation = _open_invitations().filter(email=email).first() or Invitation(
        organization=organization, user_id=current_user_id(), email=email
    )
    return _send(invitation, role=role, base_url=base_url)


@transaction.atomic
def invitation_resend(*, invitation_id: UUID, base_url: str) -> SentInvitation:
    """Send a new link for another week; the old one stops. Raises NotFound, Conflict when it is used or revoked."""
    invitation = _invitation_for_change(invitation_id)
    check_role(invitation.role, touching_owner=invitation.role == Role.OWNER)
    return _send(invitation, role=invitation.role, base_url=base_url)


@transaction.atomic
def invitation_revoke(*, invitation_id: UUID) -> None:
    """Take an invitation back. Raises NotFound, Conflict when it is used or revoked already."""
    invitation = _invitation_for_change(invitation_id)
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    _audit("invitation.revoke", invitation)


def invitation_offer(token: str) -> InvitationOffer:
    """Return what the holder of a link is offered, whatever has become of it. Raises NotFound."""
    invitation = _by_token(token)
    with bound(Tenant(organization_id=invitation.organization_id)), transaction.atomic():
        organization = Organization.objects.get(pk=invitation.organization_id)
        inviter = User.objects.filter(pk=invitation.user_id).first() if invitation.user_id else None
    return InvitationOffer(
        organization_id=organization.pk,
        organization_name=organization.name,
        email=invitation.email,
        role=invitation.role,
        role_name=str(Role(invitation.role).label),
        inviter=inviter.email if inviter else "",
        state=_state(invitation),
        expires_at=invitation.expires_at,
    )


def invitation_accept(*, token: str, user: User) -> UUID:
    """Make ``user`` a member, and return the organization's id. Who is one already keeps the role.

    Raises NotFound for an unknown link, WrongAccount when it was sent to another address, Conflict when it was used,
    revoked, or is over.
    """
    invitation = _by_token(token)
    with bound(Tenant(organization_id=invitation.organization_id, user_id=user.pk)), transaction.atomic():
        # In the order of every change of members: the organization, then the row.
        Organization.objects.select_for_update().get(pk=invitation.organization_id)
        invitation = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if invitation.email != user.email:
            raise WrongAccount
        if not invitation.is_open or invitation.token_hash != key_hash(token):
            raise Conflict(_("This invitation was used, taken back, or is over."))
        Membership.objects.get_or_create(
            organization_id=invitation.organization_id, user=user, defaults={"role": invitation.role}
        )
        invitation.accepted_at = timezone.now()
        invitation.save(update_fields=["accepted_at"])
        _audit("invitation.accept", invitation)
    return invitation.organization_id


def _send(invitation: Invitation, *, role: str, base_url: str) -> SentInvitation:
    token = secrets.token_urlsafe(32)
    invitation.role, invitation.token_hash = role, key_hash(token)
    invitation.sent_at = timezone.now()
    invitation.expires_at = invitation.sent_at + LIFETIME
    invitation.save()
    _audit("invitation.send", invitation)
    # Not in the path, which is written into logs.
    link = urljoin(base_url, reverse("accounts:invitation")) + "?" + urlencode({"token": token})
    # A mail server that is away must not undo the invitation: its link is shown to the inviter too.
    language = _language(invitation.email)
    transaction.on_commit(lambda: _mail(invitation, link, language), robust=True)
    return SentInvitation(
        id=invitation.pk, email=invitation.email, role=role, expires_at=invitation.expires_at, link=link
    )


def _mail(invitation: Invitation, link: str, language: str) -> None:
    with translation.override(language):
        words = {"invitation": invitation, "link": link, "days": LIFETIME.days}
        subject = render_to_string("accounts_app/mail/invitation_subject.txt", words)
        text = render_to_string("accounts_app/mail/invitation.txt", words)
        send_mail(" ".join(subject.split()), text, settings.DEFAULT_FROM_EMAIL, [invitation.email])


def _language(email: str) -> str:
    # Of the invited person where it is known, or else of the one who invites.
    known = User.objects.filter(email=email).values_list("language", flat=True).first()
    return known or translation.get_language() or settings.LANGUAGE_CODE


def _valid_email(email: str, organization: Organization) -> str:
    if organization.is_personal:
        raise InvalidInput.for_field("email", _("This is your personal organization. Create another to work together."))
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidInput.for_field("email", _("This is no e-mail address.")) from error
    if Membership.objects.filter(organization=organization, user__email=email).exists():
        raise InvalidInput.for_field("email", _("This person is a member already."))
    return email


def _open_invitations() -> QuerySet[Invitation]:
    return Invitation.objects.select_for_update().filter(
        organization_id=current_organization_id(), accepted_at=None, revoked_at=None
    )


def _invitation_for_change(invitation_id: UUID) -> Invitation:
    organization = managed_organization()
    invitation = Invitation.objects.select_for_update().filter(pk=invitation_id, organization=organization).first()
    if invitation is None:
        raise NotFound
    if invitation.accepted_at is not None or invitation.revoked_at is not None:
        raise Conflict(_("This invitation was used or taken back already."))
    return invitation


def _by_token(token: str) -> Invitation:
    digest = key_hash(token)
    with bound(Tenant(api_key_hash=digest)), transaction.atomic():
        invitation = Invitation.objects.filter(token_hash=digest).first()
    if invitation is None:
        raise NotFound(_("This link is not valid, or a newer one was sent."))
    return invitation


def _state(invitation: Invitation) -> str:
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.revoked_at is not None:
        return "revoked"
    return "expired" if invitation.is_expired else "open"


def _audit(action: str, invitation: Invitation) -> None:
    data = {"email": invitation.email, "role": invitation.role}
    audit_record(action=action, target_type="invitation", target_id=invitation.pk, data=data)
