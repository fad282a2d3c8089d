"""The edge of /v1: what it takes from callers, and how long things are kept. Sizes in bytes."""

from config.settings.env import positive_int

# The largest body of a request; images are sent inside.
GATEWAY_BODY_LIMIT = positive_int("GATEWAY_BODY_LIMIT", 20 * 1024 * 1024)
# A request's body arrives within so many seconds.
GATEWAY_BODY_SECONDS = positive_int("GATEWAY_BODY_SECONDS", 60)
# The largest whole answer of a provider.
GATEWAY_ANSWER_LIMIT = positive_int("GATEWAY_ANSWER_LIMIT", 64 * 1024 * 1024)
# Seconds between signs of life in a stream that has no token yet: many networks cut a connection silent for 60.
GATEWAY_PING_SECONDS = positive_int("GATEWAY_PING_SECONDS", 15)
# The largest answer that is kept to be given again for the same Idempotency-Key.
GATEWAY_REPLAY_LIMIT = positive_int("GATEWAY_REPLAY_LIMIT", 1024 * 1024)
# How long a key's card and the catalogue are kept by a web process. Each call checks both in Postgres all the same.
GATEWAY_CARD_SECONDS = positive_int("GATEWAY_CARD_SECONDS", 30)
# How long a process goes on trying to settle a call while Postgres is away; afterwards its lease decides.
GATEWAY_SETTLE_SECONDS = positive_int("GATEWAY_SETTLE_SECONDS", 300)
# How long (milliseconds) a settlement that nobody waits for may wait for others to be written with it.
GATEWAY_SETTLE_WITHIN_MS = positive_int("GATEWAY_SETTLE_WITHIN_MS", 20)
