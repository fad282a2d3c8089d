"""Usage by month; caches of prices are told of a change."""

from django.db import migrations

from accounts_app.tenancy.partitions import partition_monthly
from accounts_app.tenancy.revisions import revision_counted


class Migration(migrations.Migration):
    dependencies = [
        ("accounts_app", "0003_projects_and_policy"),
        ("billing_app", "0005_stored_answers"),
    ]

    operations = [
        partition_monthly("openai_usage"),
        revision_counted("prices", "prices"),
    ]
