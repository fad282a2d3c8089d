from django.db import migrations

from accounts_app.tenancy.rls import API_KEY_HASH, ORGANIZATION, OWN_ROWS, USER, append_only, enable_rls

MY_ROWS = f"user_id = {USER}"
MY_ORGANIZATIONS = f"id IN (SELECT m.organization_id FROM memberships m WHERE m.{MY_ROWS})"


class Migration(migrations.Migration):
    dependencies = [("accounts_app", "0001_initial")]

    operations = [
        enable_rls("memberships", using=f"{OWN_ROWS} OR {MY_ROWS}"),
        enable_rls("organizations", using=f"id = {ORGANIZATION} OR {MY_ORGANIZATIONS}", check=f"id = {ORGANIZATION}"),
        # A key is looked up by its hash before its organization is known.
        enable_rls("api_keys", using=f"{OWN_ROWS} OR secret_hash = {API_KEY_HASH}"),
        enable_rls("audit_logs"),
        append_only("audit_logs"),
    ]
