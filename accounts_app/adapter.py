"""Where sign-in meets this project."""

import base64
import hashlib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import force_bytes
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.models import User
from accounts_app.services.addresses import client_address


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Pages come back in the language that the person chose, in whichever browser they sign in."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        try:
            with transaction.atomic():
                saved: User = super().save_user(request, user, form, commit=commit)
        except IntegrityError as error:
            # The form found the address free; a second sign-up with it, at the same moment, was faster.
            raise InvalidInput.for_field("email", _("This address has an account already.")) from error
        return saved

    def get_client_ip(self, request: HttpRequest) -> str:
        # For the limits on attempts: nobody begins anew by writing another X-Forwarded-For.
        return client_address(request.headers, request.META.get("REMOTE_ADDR", "")) or "unknown"

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        if user.language:
            response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, samesite="Lax")
        return response


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Second-factor secrets are encrypted where they are stored, so that a copy of the database opens no account."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()


def _cipher() -> MultiFernet:
    # The fallbacks keep old secrets readable while the key is being changed.
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(b"second factor " + force_bytes(key)).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
