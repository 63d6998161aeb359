"""The one exception for a user's mistake, and how an entry point ends on it."""

import errno
import os
import re
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONGEST_WORDS = 600
"""Characters of a library's words that are printed."""
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class InputError(Exception):
    """What was wrong, where (file, row, key or setting) and what to do, in one line; shown without a stack trace."""


class Stopped(BaseException):
    """A run that was asked to stop, and stopped in order: where, and how to go on; `code` is the exit code.

    Like KeyboardInterrupt it is not an Exception: code that catches whatever a library raises must not catch it.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def end_in_one_line(main: Callable[[list[str]], None]) -> int:
    """Run an entry point on the command line's words; a user's mistake or a full disk ends it in one line.

    SIGTERM and a closed terminal end it in order too, so that its temporary files are removed.

    Returns:
        The exit code: 0, 2 for a mistake, 1 for a full disk, 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed
        terminal.
    """
    try:
        with _stopped_in_order():
            main(sys.argv[1:])
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.code
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except Exception as error:
        full = full_disk(error)
        if full is None:
            raise
        print(f"error: {full}: free some space, or choose another place", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """Turn the signals that end a process into `Stopped`, once; only the main thread may set handlers."""
    owner, ends = os.getpid(), [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        if os.getpid() != owner:  # a forked child ends as if there were no handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for each in ends:
            signal.signal(each, signal.SIG_IGN)  # nothing interrupts the clean-up
        raise Stopped(f"stopped by {signal.Signals(number).name}", 128 + number)

    before = {end: signal.getsignal(end) for end in ends}
    for end in (end for end in ends if before[end] is signal.SIG_DFL):  # nohup ignores SIGHUP
        signal.signal(end, stop)
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


def printable(text: str) -> str:
    """Text on one line: line breaks, control characters and other bytes that no terminal shows become escapes."""
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def printable_lines(text: str) -> str:
    """Text whose lines stay, and are printable each: a table of names that somebody else chose."""
    return "\n".join(map(printable, text.split("\n")))


def first_line(error: BaseException) -> str:
    """The kind of what a library raised and the first line of its words, if it has any, with what it announces.

    The words may be those of a server or of a file: they are made printable, and cut if they are long.
    """
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if not lines:
        return type(error).__name__
    announced = lines[1:2] if lines[0].endswith(":") else []
    return f"{type(error).__name__}: {printable(' '.join([lines[0], *announced]))[:LONGEST_WORDS]}"


def full_disk(error: BaseException | None) -> str | None:
    """What could not be written, where `error` or an error that led to it tells of a full disk; else None.

    The writers of safetensors (in Rust) and torch.save (in C++) raise no OSError: the one has the number in its text,
    the other tells no reason at all.
    """
    while error is not None:
        in_text = re.search(r"\(os error (\d+)\)", str(error))
        number = error.errno if isinstance(error, OSError) else int(in_text[1]) if in_text else None
        if number in FULL:
            where = getattr(error, "filename", None) or "the run folder, the cache of data sets or TMPDIR"
            return f"{os.strerror(number)} while writing {where}"
        if isinstance(error, RuntimeError) and re.search("iostream error|PytorchStreamWriter failed", str(error)):
            return "a checkpoint cannot be written to its end, as on a full disk"
        error = error.__cause__ or error.__context__
    return None
