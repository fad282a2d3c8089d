from typing import Any

from config.settings.env import BASE_DIR, PRODUCTION, env

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "build" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]

S3_BUCKET_NAME = env.str("S3_BUCKET_NAME", default="")
_ON_S3: dict[str, Any] = {
    "BACKEND": "storages.backends.s3.S3Storage",
    "OPTIONS": {
        "bucket_name": S3_BUCKET_NAME,
        "endpoint_url": env.str("S3_ENDPOINT_URL", default="") or None,
        "region_name": env.str("S3_REGION", default="") or None,
        "access_key": env.str("S3_ACCESS_KEY_ID", default="") or None,
        "secret_key": env.str("S3_SECRET_ACCESS_KEY", default="") or None,
        "default_acl": "private",
        "querystring_expire": 300,
        "file_overwrite": False,
    },
}
_LOCAL: dict[str, Any] = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
STORAGES = {
    "default": _ON_S3 if S3_BUCKET_NAME else _LOCAL,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = not PRODUCTION
