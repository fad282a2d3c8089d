"""Inviting people, and the page behind the link in the mail."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views import View

from accounts_app.contracts import SentInvitation
from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.http import person_of
from accounts_app.services.invitations import (
    invitation_accept,
    invitation_offer,
    invitation_resend,
    invitation_revoke,
    invitation_send,
)
from accounts_app.services.principals import ACTIVE_ORGANIZATION
from accounts_app.web.forms import MemberForm
from accounts_app.web.mixins import ManagerMixin
from accounts_app.web.organization import OrganizationPage

TOKEN = "invitation"  # noqa: S105


class SentPage(ManagerMixin, OrganizationPage):
    """The organization's page with the link just sent, which is in the mail and, once, in this answer."""

    def sent(self, invitation: SentInvitation) -> HttpResponse:
        response = self.page(sent=invitation)
        add_never_cache_headers(response)
        return response


class InvitationSendView(SentPage):
    def post(self, request: HttpRequest) -> HttpResponse:
        form = MemberForm(request.POST)
        if form.is_valid():
            try:
                return self.sent(invitation_send(**form.cleaned_data, base_url=request.build_absolute_uri("/")))
            except InvalidInput as error:
                form.add_error(error.details[0].field, error.message)
        return self.page(status=400, member_form=form)


class InvitationResendView(SentPage):
    def post(self, request: HttpRequest, invitation_id: UUID) -> HttpResponse:
        try:
            return self.sent(invitation_resend(invitation_id=invitation_id, base_url=request.build_absolute_uri("/")))
        except Conflict as error:
            messages.error(request, error.message)
            return redirect("accounts:organization")


class InvitationRevokeView(ManagerMixin):
    def post(self, request: HttpRequest, invitation_id: UUID) -> HttpResponse:
        try:
            invitation_revoke(invitation_id=invitation_id)
        except Conflict as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("The invitation is taken back; its link no longer works."))
        return redirect("accounts:organization")


class InvitationView(View):
    """What the link opens, for people signed in, signed out, or with no account yet.

    The token goes from the address into the session at once: addresses are shared, logged and remembered.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        if token := request.GET.get("token"):
            request.session[TOKEN] = token
            return redirect("accounts:invitation")
        token = request.session.get(TOKEN, "")
        try:
            offer = invitation_offer(token)
        except NotFound as error:
            response = render(request, "accounts_app/invitation.html", {"problem": error.message}, status=404)
        else:
            context = {"offer": offer, "token": token, "is_theirs": _email(request) == offer.email}
            response = render(request, "accounts_app/invitation.html", context)
        add_never_cache_headers(response)
        return response

    def post(self, request: HttpRequest) -> HttpResponse:
        user = person_of(request)
        try:
            organization_id = invitation_accept(token=request.session.get(TOKEN, ""), user=user)
        except Conflict as error:
            messages.error(request, error.message)
            return redirect("accounts:invitation")
        request.session.pop(TOKEN, None)
        request.session[ACTIVE_ORGANIZATION] = str(organization_id)
        messages.success(request, _("Welcome! You now work in this organization."))
        return redirect("accounts:organization")


def _email(request: HttpRequest) -> str:
    return request.user.email if request.user.is_authenticated else ""
