from workflows_app.models.config import ConfigStatus, WorkflowConfig
from workflows_app.models.event import RunEvent
from workflows_app.models.run import RunScope, RunStatus, WorkflowRun
from workflows_app.models.slot import WorkflowSlot
from workflows_app.models.step_run import StepRun, StepStatus
from workflows_app.models.workspace import Workspace

__all__ = [
    "ConfigStatus",
    "RunEvent",
    "RunScope",
    "RunStatus",
    "StepRun",
    "StepStatus",
    "WorkflowConfig",
    "WorkflowRun",
    "WorkflowSlot",
    "Workspace",
]
