from rest_framework.pagination import CursorPagination


class KeysetPagination(CursorPagination):
    """Keyset pages, newest first: ``{next, previous, results}``, stable while rows are added."""

    ordering = ("-created_at", "-id")
    page_size_query_param = "limit"
    max_page_size = 200
