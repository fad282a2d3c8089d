from typing import Any

from rest_framework import serializers

from tasks_app.api.bodies import TextField
from tasks_app.models import Task, TaskEvent


class TaskTitleInput(serializers.Serializer[Any]):
    title = TextField(allow_blank=True)


class NextStepOutput(serializers.Serializer[Any]):
    stage = serializers.CharField()
    stage_name = serializers.CharField()
    action = serializers.CharField()


class TaskOutput(serializers.ModelSerializer[Task]):
    """A task in a list. The view puts the next steps into the context."""

    next_step = serializers.SerializerMethodField()

    class Meta:
        model = Task
        fields = [
            "id",
            "title",
            "workspace_key",
            "status",
            "current_stage",
            "next_step",
            "prompt_id",
            "cost_usd",
            "input_tokens",
            "output_tokens",
            "model",
            "stages_count",
            "active_run_id",
            "active_stream_id",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    def get_next_step(self, task: Task) -> dict[str, str] | None:
        step = self.context["next_steps"][task.id]
        return dict(NextStepOutput(step).data) if step.is_possible else None


class TaskDetailOutput(TaskOutput):
    text = serializers.CharField()
    previous_text = serializers.SerializerMethodField()
    findings = serializers.ListField(child=serializers.DictField())

    class Meta(TaskOutput.Meta):
        fields = [
            *TaskOutput.Meta.fields,
            "input_text",
            "text",
            "previous_text",
            "findings",
            "last_error",
            "last_stream_id",
            "events_count",
        ]
        read_only_fields = fields

    def get_previous_text(self, task: Task) -> str:
        return str(task.metadata.get("previous_text") or "")


class TaskEventOutput(serializers.ModelSerializer[TaskEvent]):
    version_id = serializers.SerializerMethodField()
    prompt_run_id = serializers.SerializerMethodField()

    class Meta:
        model = TaskEvent
        fields = [
            "id",
            "seq",
            "event_key",
            "stage_key",
            "step_key",
            "input",
            "output",
            "run_id",
            "version_id",
            "prompt_run_id",
            "model",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "prev_event_id",
            "trace_id",
            "user_id",
            "created_at",
        ]
        read_only_fields = fields

    def get_version_id(self, event: TaskEvent) -> str | None:
        return _text(event.output.get("version_id"))

    def get_prompt_run_id(self, event: TaskEvent) -> str | None:
        return _text(event.output.get("prompt_run_id"))


def _text(value: object) -> str | None:
    return str(value) if value else None
