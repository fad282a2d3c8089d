"""The engine in the admin, one noun a file."""

from workflows_app.admin.configs import WorkflowConfigAdmin, WorkspaceAdmin
from workflows_app.admin.runs import RunEventAdmin, StepRunAdmin, WorkflowRunAdmin, WorkflowSlotAdmin

__all__ = [
    "RunEventAdmin",
    "StepRunAdmin",
    "WorkflowConfigAdmin",
    "WorkflowRunAdmin",
    "WorkflowSlotAdmin",
    "WorkspaceAdmin",
]
