"""A request to the Hub: repeated if that can help, otherwise explained in one line.

The client itself repeats uploads of large files and downloads, but not commits, tags or queries. How long it
waits for an answer is in `pipeline.hub_client`.
"""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

from pipeline.errors import InputError, first_line, printable

T = TypeVar("T")
WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try, if the Hub does not name them."""
LONGEST_WAIT = 120.0
PASSING = (408, 425, 429, 500, 502, 503, 504)
MISUNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What the client raises where an answer is not the JSON of the Hub, such as the page of a network's login."""
SHOWN = 200
"""Characters of a server's words that are printed."""

ADVICE = {
    400: "correct what it names",
    401: "log in with `hf auth login`, or set HF_TOKEN to a valid token",
    403: "use a token that may write there (`hf auth login`, or HF_TOKEN)",
    404: "check the name, and that the token may see it",
    409: "somebody else changed the repository; look at it, then run the same command again",
    412: "somebody else changed the repository; look at it, then run the same command again",
    413: "it is too large for the Hub",
    429: "wait, then run the same command again",
}


def attempt(what: str, call: Callable[[], T], say: Callable[[str], None]) -> T:
    """The result of `call`, which is repeated after a temporary failure; each wait is reported.

    Raises:
        InputError: it failed for a lasting reason, or five times.
    """
    for wait in waits():
        try:
            return call()
        except Exception as error:
            pause(what, error, wait, say)
    raise AssertionError("the last wait raises")


def waits() -> Iterator[float | None]:
    """Seconds to wait after each failed try; None after the last."""
    yield from WAITS
    yield None


def pause(what: str, error: Exception, wait: float | None, say: Callable[[str], None]) -> None:
    """Wait before the next try, as long as the Hub asks.

    Raises:
        InputError: `wait` is None, the Hub asks for too long a wait, or the failure is not temporary.
    """
    if isinstance(error, InputError):
        raise error
    asked = _retry_after(error)
    seconds = wait if asked is None else asked
    if wait is None or not _is_passing(error) or seconds is None or seconds > LONGEST_WAIT:
        raise explained(what, error) from None
    say(f"{what}: {_described(error)}; trying again in {seconds:.0f} s")
    time.sleep(seconds)


def explained(what: str, error: Exception) -> Exception:
    """The failure in one line with what to do about it; an error of another kind is returned as it is."""
    cause, status = _cause(error), status_of(error)
    if isinstance(cause, LocalTokenNotFoundError):
        return InputError(f"{what}: you are not logged in; run `hf auth login`, or set HF_TOKEN")
    if isinstance(cause, OfflineModeIsEnabled):
        return InputError(f"{what}: HF_HUB_OFFLINE is set; unset it to publish")
    if status is not None:
        later = "run the same command again later; files that have arrived are not sent again"
        asked = _retry_after(error)
        advice = f"it asks to wait {asked:.0f} s; {later}" if asked is not None else ADVICE.get(status, later)
        return InputError(f"{what}: {_described(error)}; {advice}")
    if isinstance(cause, (httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
        return InputError(f"{what}: {_described(error)}; correct HF_ENDPOINT, or unset it")
    if isinstance(cause, httpx2.HTTPError):
        return InputError(f"{what}: {_described(error)}; check the network, then run the same command again")
    if isinstance(error, MISUNDERSTOOD):
        return InputError(f"{what}: what answers is not the Hub ({_described(error)}); look whether this network wants "
                          "a login in a browser, and whether HF_ENDPOINT is right")  # fmt: skip
    return error


def status_of(error: Exception) -> int | None:
    """HTTP status of the Hub's answer, or None without an answer."""
    cause = _cause(error)
    response = getattr(cause, "response", None)
    return int(response.status_code) if response is not None else None


def _is_passing(error: Exception) -> bool:
    if isinstance(_cause(error), (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return True
    return status_of(error) in PASSING


def _retry_after(error: Exception) -> float | None:
    response = getattr(_cause(error), "response", None)
    asked = response.headers.get("Retry-After") if response is not None else None
    return float(asked) if asked is not None and asked.isdecimal() else None


def _described(error: Exception) -> str:
    cause, status = _cause(error), status_of(error)
    if status is None:
        silent = isinstance(cause, httpx2.TimeoutException)
        return "the Hub does not answer" if silent else first_line(cause)
    words = (getattr(cause, "server_message", None) or "").strip().splitlines()
    return f"the Hub answers {status}" + (f" ({printable(words[0])[:SHOWN]})" if words else "")


def _cause(error: BaseException) -> BaseException:
    """The failure behind an error: the client wraps failures of uploads into its own errors."""
    known = (HfHubHTTPError, httpx2.HTTPError, httpx2.InvalidURL, LocalTokenNotFoundError, OfflineModeIsEnabled)
    chain: list[BaseException] = [error]
    while following := (chain[-1].__cause__ or chain[-1].__context__):
        chain.append(following)
    return next((e for e in chain if isinstance(e, known)), error)
