from tasks_app.models.event import TaskEvent
from tasks_app.models.request import TaskRequest
from tasks_app.models.task import Task, TaskStatus

__all__ = ["Task", "TaskEvent", "TaskRequest", "TaskStatus"]
