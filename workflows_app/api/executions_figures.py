"""What the statistics of executions answer."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows_app.api.executions_outputs import TemplateOutput
from workflows_app.reads.statistics import DayFigures, ExecutionStatistics, Figures, TemplateFigures


class FiguresOutput(serializers.Serializer[Figures]):
    """Runs created and ended, once each. The rate is of those that completed or failed, the times of completed ones."""

    started = serializers.IntegerField()
    ended = serializers.DictField(child=serializers.IntegerField())
    success_rate = serializers.FloatField(allow_null=True)
    p50_ms = serializers.IntegerField(allow_null=True)
    p95_ms = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.DecimalField(max_digits=30, decimal_places=10)


class DayOutput(serializers.Serializer[DayFigures]):
    day = serializers.DateField()
    figures = FiguresOutput()


class TemplateFiguresOutput(serializers.Serializer[TemplateFigures]):
    template = serializers.SerializerMethodField()
    figures = FiguresOutput()

    @extend_schema_field(TemplateOutput)
    def get_template(self, row: TemplateFigures) -> dict[str, Any]:
        return {"id": str(row.config_id), "name": row.template, "version": row.version}


class StatisticsOutput(serializers.Serializer[ExecutionStatistics]):
    """Whole days (UTC). Branches and child workflows are in the figures of the runs that they are part of."""

    since = serializers.DateField()
    until = serializers.DateField()
    totals = serializers.DictField(child=serializers.IntegerField(), help_text="Created and ended in these days.")
    unfinished = serializers.DictField(child=serializers.IntegerField(), help_text="Now, whenever they were created.")
    success_rate = serializers.FloatField(allow_null=True)
    p50_ms = serializers.IntegerField(allow_null=True)
    p95_ms = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.DecimalField(max_digits=30, decimal_places=10)
    days = DayOutput(source="per_day", many=True)
    templates = TemplateFiguresOutput(source="per_template", many=True)
