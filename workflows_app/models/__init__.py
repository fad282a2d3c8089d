from workflows_app.models.archive import RunArchive
from workflows_app.models.config import ConfigStatus, WorkflowConfig
from workflows_app.models.event import RunEvent
from workflows_app.models.log import LogLevel, RunLog
from workflows_app.models.run import RunScope, RunStatus, WorkflowRun
from workflows_app.models.schedule import Misfire, WorkflowSchedule
from workflows_app.models.slot import WorkflowSlot
from workflows_app.models.statistics import Grain, RunStatistic, StatisticsWatermark, StepStatistic
from workflows_app.models.step_run import StepRun, StepStatus
from workflows_app.models.workspace import Workspace

__all__ = [
    "ConfigStatus",
    "Grain",
    "LogLevel",
    "Misfire",
    "RunArchive",
    "RunEvent",
    "RunLog",
    "RunScope",
    "RunStatistic",
    "RunStatus",
    "StatisticsWatermark",
    "StepRun",
    "StepStatistic",
    "StepStatus",
    "WorkflowConfig",
    "WorkflowRun",
    "WorkflowSchedule",
    "WorkflowSlot",
    "Workspace",
]
