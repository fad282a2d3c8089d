"""Why the system could not start; each message says what to do."""


class StartError(RuntimeError):
    """The system cannot start."""


class PostgresError(StartError):
    """The embedded PostgreSQL did not start; the message ends with the last lines of its log."""


class RedisError(StartError):
    """The embedded Redis did not start; the message ends with the last lines of its log."""


class DatabaseRefusedError(StartError):
    """The database that was given cannot be used."""


class ServiceRefusedError(StartError):
    """A service that was given does not answer; the message names the variable."""


class AlreadyRunningError(StartError):
    """Another process manager uses this DATA_DIR."""


class CommandError(StartError):
    """A command on the way up failed; the message holds the end of what it said."""
