REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts_app.api.authentication.ApiKeyAuthentication",
        "accounts_app.api.authentication.TokenAuthentication",
        "accounts_app.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        # For people who open an address of the API in a browser; programs ask for anything and get JSON.
        "accounts_app.api.renderers.BrowsableRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts_app.api.permissions.MemberPermission"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "accounts_app.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "accounts_app.api.errors.exception_handler",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "DeepSpace",
    "DESCRIPTION": "The workbench for AI work: tasks, prompts, workflows, billing.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "accounts_app.api.openapi.completed",
    ],
    "ENUM_NAME_OVERRIDES": {
        "TaskStatusEnum": "tasks_app.models.TaskStatus",
        "WorkflowStatusEnum": "workflows_app.models.config.ConfigStatus",
        "ExecutionStatusEnum": "workflows_app.models.RunStatus",
        "ExecutionScopeEnum": "workflows_app.models.RunScope",
        "ScopeEnum": "billing_app.models.budget.BudgetScope",
        "AttemptStatusEnum": "workflows_app.models.StepStatus",
    },
}
