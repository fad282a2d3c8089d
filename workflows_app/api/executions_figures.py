"""What the statistics of executions answer."""

from rest_framework import serializers

from workflows_app.api.executions_outputs import TemplateOutput
from workflows_app.reads.execution_statistics import Figures, Statistics


class FiguresOutput(serializers.Serializer[Figures]):
    """How runs went; ``success_rate`` is of those that completed or failed, the times are of completed ones."""

    runs = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())
    success_rate = serializers.FloatField(allow_null=True)
    p50_ms = serializers.IntegerField(allow_null=True)
    p95_ms = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.DecimalField(max_digits=30, decimal_places=10)


class DayOutput(FiguresOutput):
    day = serializers.DateField()


class TemplateFiguresOutput(FiguresOutput):
    template = TemplateOutput()


class StatisticsOutput(serializers.Serializer[Statistics]):
    """Runs begun in the span, without branches and child workflows: those are in their parents' figures."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    total = FiguresOutput()
    days = DayOutput(many=True)
    templates = TemplateFiguresOutput(many=True)
