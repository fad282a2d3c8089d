from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("workflows_app", "0004_engine")]

    operations: ClassVar[list[Operation]] = []
