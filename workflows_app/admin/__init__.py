"""The engine in the admin, one noun a file."""

from workflows_app.admin.configs import WorkflowConfigAdmin, WorkspaceAdmin
from workflows_app.admin.histories import RunArchiveAdmin, RunLogAdmin
from workflows_app.admin.runs import RunEventAdmin, StepRunAdmin, WorkflowRunAdmin, WorkflowSlotAdmin
from workflows_app.admin.schedules import WorkflowScheduleAdmin
from workflows_app.admin.statistics import RunStatisticAdmin, StatisticsWatermarkAdmin, StepStatisticAdmin

__all__ = [
    "RunArchiveAdmin",
    "RunEventAdmin",
    "RunLogAdmin",
    "RunStatisticAdmin",
    "StatisticsWatermarkAdmin",
    "StepRunAdmin",
    "StepStatisticAdmin",
    "WorkflowConfigAdmin",
    "WorkflowRunAdmin",
    "WorkflowScheduleAdmin",
    "WorkflowSlotAdmin",
    "WorkspaceAdmin",
]
