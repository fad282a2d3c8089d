import hashlib
from datetime import timedelta

from config.settings.core import SECRET_KEY

AUTH_USER_MODEL = "accounts_app.User"
# allauth's own backend also counts failed attempts and asks for the second factor; the admin uses it too.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "accounts_app.web.errors.csrf_failure"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

ACCOUNT_ADAPTER = "accounts_app.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# One address a person: it is the name of the account, and invitations name it.
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_MAX_EMAIL_ADDRESSES = 2
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
MFA_ADAPTER = "accounts_app.adapter.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "DeepSpace"
# With unverified addresses allowed to sign in, the second factor has to be open to them as well.
MFA_ALLOW_UNVERIFIED_EMAIL = True

# People's programs: a short access token, and a longer one that renews it and works once; see services/tokens.py.
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ALGORITHM": "HS256",
    # A key of their own: what is signed here is good for nothing else that SECRET_KEY signs.
    "SIGNING_KEY": hashlib.sha256(f"json web tokens {SECRET_KEY}".encode()).hexdigest(),
    "ISSUER": "deepspace",
    "USER_ID_CLAIM": "sub",
}
# A mail server that hangs must not hold a page.
EMAIL_TIMEOUT = 10
