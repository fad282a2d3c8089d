"""The Task Hub."""

from config.settings.env import env, positive_int

# Characters; a longer inputText is refused with 400.
TASK_INPUT_LIMIT = positive_int("TASK_INPUT_LIMIT", 100_000)
# The class that decides which workspace and stage a sentence belongs to.
TASK_ROUTER = env.str("TASK_ROUTER", default="tasks_app.router.rules.RuleRouter")
# Seconds; `Prefer: wait=N` is honoured up to this.
TASK_WAIT_LIMIT = positive_int("TASK_WAIT_LIMIT", 60)
