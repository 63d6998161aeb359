"""The one exception for a user's mistake, and how an entry point ends on it."""

import errno
import os
import sys
from collections.abc import Callable


class InputError(Exception):
    """What was wrong, where (file, row, key or setting) and what to do, in one line; shown without a stack trace."""


def end_in_one_line(main: Callable[[list[str]], None]) -> int:
    """Run an entry point on the command line's words; a user's mistake or a full disk ends it in one line.

    Returns:
        The exit code: 0, 2 for a mistake, 1 for a full disk, 130 for Ctrl-C.
    """
    try:
        main(sys.argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        print(f"error: {os.strerror(error.errno)}{where}: free some space, or choose another place", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C", file=sys.stderr)
        return 130
    return 0
