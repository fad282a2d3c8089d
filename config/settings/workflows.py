"""The workflow engine's clocks. All in seconds."""

from config.settings.env import env, positive_int

# A worker that stays silent for this long has lost its run. Renewed three times in between.
WORKFLOW_LEASE_SECONDS = env.float("WORKFLOW_LEASE_SECONDS", default=15.0)
# No step takes longer; afterwards its lease is let go.
WORKFLOW_STEP_TIMEOUT_SECONDS = env.float("WORKFLOW_STEP_TIMEOUT_SECONDS", default=900.0)
# How many workers one step may take down before its run is given up.
WORKFLOW_MAX_CRASHES = positive_int("WORKFLOW_MAX_CRASHES", 5)
# The queue where runs wait for workers.
WORKFLOW_QUEUE = env.str("WORKFLOW_QUEUE", default="model")
# An organization with more runs than this waiting for a worker starts no others; 0 is no limit.
WORKFLOW_MAX_QUEUED = env.int("WORKFLOW_MAX_QUEUED", default=20_000)
# Of one attempt at a step so many log lines are stored; a loop that logs must not fill the disk.
RUN_LOG_LINES_PER_ATTEMPT = positive_int("RUN_LOG_LINES_PER_ATTEMPT", 1000)
