"""People. Each has a personal organization from the first moment, however the account came to be."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.models import User


@transaction.atomic
def user_create(*, email: str, password: str | None = None, is_operator: bool = False) -> User:
    """Create a user with a personal organization. Without a password the account can only use keys.

    Raises InvalidInput when the address is taken.
    """
    if User.objects.filter(email=email.strip().lower()).exists():
        raise InvalidInput.for_field("email", _("This address has an account already."))
    create = User.objects.create_superuser if is_operator else User.objects.create_user
    return create(email=email, password=password)


@transaction.atomic
def user_language_set(*, user: User, language: str) -> None:
    """Remember the language that ``user`` chose, for mails and for the next sign-in elsewhere."""
    User.objects.filter(pk=user.pk).update(language=language)
