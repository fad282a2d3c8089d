"""What is written to costs each of its indexes a write, and one too many can mislead the planner."""

import pytest
from django.apps import apps
from django.db import connection

ROOMS = ("accounts_app", "billing_app", "gateway_app", "prompts_app", "workflows_app", "tasks_app")

# B-trees of a table by their columns, whole and not of expressions; those of partitions are their parents'. For LIKE,
# Django keeps one of other operators beside that of the values.
_INDEXES = """
    SELECT rel.relname, cls.relname, idx.indisunique, string_to_array(idx.indkey::text, ' '), idx.indclass::text
    FROM pg_index idx JOIN pg_class cls ON cls.oid = idx.indexrelid JOIN pg_class rel ON rel.oid = idx.indrelid
    JOIN pg_am am ON am.oid = cls.relam
    WHERE am.amname = 'btree' AND idx.indpred IS NULL AND idx.indexprs IS NULL AND NOT rel.relispartition
      AND rel.relname = ANY(%s)
"""


@pytest.mark.django_db
def test_no_index_says_what_another_begins_with() -> None:
    # Those of Django's own tables of users and their groups are Django's.
    ours = [model for room in ROOMS for model in apps.get_app_config(room).get_models()]
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES, [[model._meta.db_table for model in ours]])
        found = cursor.fetchall()
    assert len(found) > 100
    repeated = [
        f"{table}: {name} is the beginning of {other}"
        for table, name, is_unique, columns, kinds in found
        for another, other, _unique, more, other_kinds in found
        if table == another and name != other and not is_unique and more[: len(columns)] == columns
        if other_kinds.split()[: len(columns)] == kinds.split()
    ]
    assert repeated == []
