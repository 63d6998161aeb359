"""How the app says no: to a request, and to being started."""


class CannotStart(Exception):  # noqa: N818 (it is what happened)
    """Why the app cannot be started, and what to do, in one line."""


class Refused(Exception):  # noqa: N818 (it is the request that is named)
    """Why a request gets no answer: an HTTP status of 4xx or 503, the reason, and when to try again."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds; None where trying again is of no use."""
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def first_line(error: BaseException) -> str:
    """Kind and first line of what a library raised."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
