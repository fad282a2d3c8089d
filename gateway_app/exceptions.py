"""Errors of this room; see accounts_app.exceptions for their frame."""
