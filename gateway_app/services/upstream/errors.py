"""What asking a provider may raise. Both are OSErrors, like what the operating system says of a connection."""


class UpstreamUnreachable(ConnectionError):
    """No connection could be opened: nothing was sent."""


class UpstreamBroken(ConnectionError):
    """The connection ended before the answer did, or what came is none. The provider may be at work all the same."""


# What a provider or its network may raise while it is asked or its answer is read.
UPSTREAM_ERRORS = (ConnectionError, TimeoutError)
