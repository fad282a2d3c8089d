from django.db.migrations import Migration as BaseMigration
from django.db.migrations import RunSQL

from accounts_app.tenancy.rls import append_only, enable_rls

# A foreign key bypasses row-level security: with the task in it, no event can be chained to another task's.
SAME_TASK = RunSQL(
    sql="""
        ALTER TABLE task_events ADD CONSTRAINT task_event_of_task UNIQUE (task_id, id);
        ALTER TABLE task_events ADD CONSTRAINT task_event_chain_in_task
            FOREIGN KEY (task_id, prev_event_id) REFERENCES task_events (task_id, id);
    """,
    reverse_sql="""
        ALTER TABLE task_events DROP CONSTRAINT task_event_chain_in_task;
        ALTER TABLE task_events DROP CONSTRAINT task_event_of_task;
    """,
)


class Migration(BaseMigration):
    dependencies = [("tasks_app", "0001_initial")]

    operations = [
        enable_rls("tasks"),
        enable_rls("task_events"),
        enable_rls("task_requests"),
        append_only("task_events"),
        SAME_TASK,
    ]
