# Makes the Celery application, so that every process that reads settings can send jobs.
import config.celery  # noqa: F401
from config.broker import transport_options
from config.settings.env import env, positive_int, refuse, required

REDIS_URL = required("REDIS_URL", "`make run` starts one by itself; elsewhere set it to redis://HOST:PORT/0.")
# What carries Celery's messages. Streams, limits, cache and signs of life stay in Redis, whichever it is.
BROKER_URL = str(env("BROKER_URL", default="")) or REDIS_URL
# classic: one node keeps the queue. quorum: most nodes of a RabbitMQ cluster do, for a write to disk a message.
BROKER_QUEUE_TYPE = str(env("BROKER_QUEUE_TYPE", default="classic"))
if BROKER_QUEUE_TYPE not in {"classic", "quorum"}:
    refuse("BROKER_QUEUE_TYPE", f"must be classic or quorum, not {BROKER_QUEUE_TYPE!r}.")

CELERY_BROKER_URL = BROKER_URL
# A worker waits for its broker as long as it takes, and notices within half a minute that it is gone.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_HEARTBEAT = 15
# A caller with no broker gets its answer at once, after one more try: its connection may be older than the broker.
# The reaper sends the message later.
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
CELERY_BROKER_TRANSPORT_OPTIONS = transport_options(BROKER_URL)
CELERY_TASK_IGNORE_RESULT = True  # facts are in Postgres; see docs/adr
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_TASK_DEFAULT_QUEUE_TYPE = CELERY_TASK_CREATE_MISSING_QUEUE_TYPE = BROKER_QUEUE_TYPE
CELERY_TASK_ROUTES = ["accounts_app.services.jobs.queue_of"]
# As many messages as there are hands: what one worker holds, an idle one beside it cannot take.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A worker that lost its broker finishes what it does: its run is held by a lease, not by a message.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Celery 5.7 would take fewer messages after that, and set its prefetch count again from whichever thread ends a task:
# two threads then read one connection, and with RabbitMQ the worker waits for an answer that the other one has had.
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_TIME_LIMIT = None
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.beat.TwoSourceScheduler"
MODEL_WORKER_THREADS = positive_int("MODEL_WORKER_THREADS", 8)

CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
