from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_POST
from django.views.i18n import set_language as django_set_language

from accounts_app.models import User
from accounts_app.services.users import user_language_set


@require_POST
def set_language(request: HttpRequest) -> HttpResponseBase:
    """Switch the language: in the cookie for this browser, on the account for mails and other browsers."""
    language = request.POST.get("language", "")
    if isinstance(request.user, User) and language in dict(settings.LANGUAGES):
        user_language_set(user=request.user, language=language)
    return django_set_language(request)
