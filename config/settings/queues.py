# Makes the Celery application, so that every process that reads settings can send jobs.
import config.celery  # noqa: F401
from config.settings.env import positive_int, required

REDIS_URL = required("REDIS_URL", "`make run` starts one by itself; elsewhere set it to redis://HOST:PORT/0.")

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A caller with no broker gets its answer at once; the reaper sends the message later.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 30, "visibility_timeout": 3600}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True  # facts are in Postgres; see docs/adr
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_TASK_ROUTES = ["accounts_app.services.jobs.queue_of"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_TIME_LIMIT = None
CELERY_TIMEZONE = "UTC"
MODEL_WORKER_THREADS = positive_int("MODEL_WORKER_THREADS", 8)

CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
