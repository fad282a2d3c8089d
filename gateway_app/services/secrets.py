"""Providers' API keys at rest: encrypted with Fernet (AES-128-CBC and HMAC-SHA-256) under CREDENTIALS_KEY.

The first key of the list encrypts, every one decrypts; the keys derived from DJANGO_SECRET_KEY (and its fallbacks)
come last, so that a CREDENTIALS_KEY set later still reads what was stored before it. `secrets_rotate` writes
everything anew under the first.
"""

import base64
import logging
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.services.audit import audit_record
from gateway_app.models import Provider

logger = logging.getLogger(__name__)

# Names the use of the derived key: the same text for another purpose gives another key.
_PURPOSE = b"deepspace.gateway.credentials.v1"
_HINT_LENGTH = 4
# Of a shorter key, four characters would be too much to show.
_HINTED_FROM = 12


@transaction.atomic
def credential_set(*, provider: Provider, secret: str) -> None:
    """Store ``secret`` as the provider's API key; empty removes it. Audited, without the key.

    Raises InvalidInput for a key that cannot stand in an HTTP header.
    """
    credential_check(secret)
    provider.credential = secret_encrypt(secret) if secret else ""
    provider.credential_hint = _hint(secret)
    provider.save(update_fields=["credential", "credential_hint"])
    audit_record(
        action="provider.credential_set" if secret else "provider.credential_remove",
        target_type="provider",
        target_id=provider.pk,
        data={"provider": provider.key, "hint": provider.credential_hint},
    )


def credential_check(secret: str) -> None:
    """Raise InvalidInput for a key that cannot stand in an HTTP header."""
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise InvalidInput.for_field("new_credential", _("An API key has no spaces and no characters beyond ASCII."))


def credential_of(provider: Provider) -> str:
    """Return the provider's stored API key; empty when it has none, or none that our keys can read."""
    if not provider.credential:
        return ""
    try:
        return _decrypted(provider.credential, _keys())
    except InvalidToken:
        # One lost key must not take the other providers down with it.
        logger.warning("The stored API key of provider %s cannot be read with CREDENTIALS_KEY.", provider.key)
        return ""


@transaction.atomic
def secrets_rotate() -> int:
    """Write every stored key anew under the first encryption key; return how many. Audited.

    Raises InvalidInput, and changes nothing, when one cannot be read.
    """
    fernet = _fernet(_keys())
    providers = list(Provider.objects.select_for_update().exclude(credential="").order_by("key"))
    for provider in providers:
        try:
            provider.credential = fernet.rotate(provider.credential.encode()).decode()
        except InvalidToken as error:
            raise InvalidInput(
                _("CREDENTIALS_KEY lacks the key under which the API key of %(provider)s was stored.")
                % {"provider": provider.key}
            ) from error
        provider.save(update_fields=["credential"])
    audit_record(action="credentials.rotate", data={"providers": [provider.key for provider in providers]})
    return len(providers)


def secret_encrypt(secret: str) -> str:
    """Return ``secret`` encrypted under the first key, as text."""
    return _fernet(_keys()).encrypt(secret.encode()).decode()


@lru_cache(maxsize=256)
def _decrypted(token: str, keys: tuple[str, ...]) -> str:
    return _fernet(keys).decrypt(token.encode()).decode()


def _keys() -> tuple[str, ...]:
    return (*settings.CREDENTIALS_KEY, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=8)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key))) for key in keys])


def _derived(key: str) -> bytes:
    # Any long text may be a key; HKDF spreads it over Fernet's 32 bytes.
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())


def _hint(secret: str) -> str:
    return secret[-_HINT_LENGTH:] if len(secret) >= _HINTED_FROM else ""
