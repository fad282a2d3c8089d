"""Signing in without a page: the same password check, second factor and limits on attempts as on the form."""

from allauth.account.adapter import get_adapter
from allauth.core import ratelimit
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts_app.exceptions import NotAuthenticated, SecondFactorRequired, TooManyRequests
from accounts_app.models import User


def sign_in(request: HttpRequest, *, email: str, password: str, code: str = "") -> User:
    """Return who this is. ``code`` is a one-time or recovery code, for accounts with a second factor.

    Raises NotAuthenticated for a wrong password or code, or a closed account; SecondFactorRequired; TooManyRequests.
    """
    try:
        user = get_adapter().authenticate(request, email=email.strip().lower(), password=password)
    except ValidationError as error:
        raise TooManyRequests from error
    if not isinstance(user, User) or not user.is_active:
        raise NotAuthenticated(_("The address or the password is wrong."))
    if is_mfa_enabled(user):
        _check_code(request, user, code.strip())
    return user


def _check_code(request: HttpRequest, user: User, code: str) -> None:
    if not code:
        raise SecondFactorRequired
    # Guessing codes counts for the account, from wherever it is tried.
    counter = f"mfa-auth-user-{user.pk}"
    if not ratelimit.consume(request, action="login_failed", key=counter):
        raise TooManyRequests
    with transaction.atomic():
        wanted = Authenticator.objects.filter(user=user).select_for_update()
        right = next((each for each in wanted if each.wrap().validate_code(code)), None)
        if right is None:
            raise NotAuthenticated(_("The one-time code is wrong."))
        right.record_usage()
    ratelimit.clear(request, action="login_failed", key=counter)
