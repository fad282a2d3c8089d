"""The state machine of runs: pure, so that it can be checked by itself."""

from workflows_app.engine import waits as waits  # fills the machine's tables
