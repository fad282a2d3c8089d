"""What this room tells the rooms above it. Each is sent inside the transaction that records the fact."""

from django.dispatch import Signal

# A worker took the run up for the first time. Arguments: run (RunDetail).
run_started = Signal()
# A step's result is recorded; sent once a step. Arguments: run (RunDetail), step (StepDetail), result (StepResult).
step_finished = Signal()
# The run ended. Arguments: run (RunDetail), status ("completed", "failed", "cancelled"), context (the run's
# accumulated context), error ({code, message} or None).
run_finished = Signal()
