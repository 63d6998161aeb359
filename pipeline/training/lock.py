"""One run at a time owns an output_dir: a lock that the operating system releases with the process.

The lock is `flock` on POSIX and `msvcrt.locking` on Windows. It holds for a whole launch: the first process takes it.
"""

import contextlib
import errno
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import InputError

LOCK = ".lock"
PATIENCE = 1.0  # seconds: another start looks at the lock for a moment
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_held: set[int] = set()  # files of the locks of this process


class Lock:
    """The lock of an output_dir, held until `release` or until this process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._file: int | None = None

    def take(self) -> str | None:
        """Take the lock. Returns a warning where the file system has no locks, otherwise None.

        Raises:
            InputError: another run holds it.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock(file)
            except OSError as error:
                os.close(file)
                if error.errno in WITHOUT_LOCKS:
                    return f"{self.path.parent} is on a file system without locks: let no other run write there"
                if time.monotonic() > deadline:
                    raise InputError(_in_use(self.path)) from None
                time.sleep(0.05)
                continue
            if self._is_in_place(file):
                break
            os.close(file)  # its owner released and removed it after we opened it
        self._file = file
        _held.add(file)
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        return None

    def release(self) -> None:
        """Remove the file and give up the lock."""
        if self._file is None:
            return
        if self._is_in_place(self._file):  # a folder that was moved has left its name to another run
            with contextlib.suppress(OSError):  # Windows removes no open file; without an owner it does no harm
                self.path.unlink()
        self._close()

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._file is not None:
            _held.discard(self._file)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        moved = isinstance(error, Exception) and self._file is not None and not self._is_in_place(self._file)
        self.release()
        if moved:
            raise InputError(
                f"output_dir {self.path.parent} was moved or removed while its run was training: the run has ended; go "
                "on with --resume where the folder is now"
            ) from error


def refuse_if_in_use(folder: Path) -> None:
    """Refuse an output_dir that another run owns, and change nothing there.

    Raises:
        InputError: another run holds its lock.
    """
    if not (folder / LOCK).is_file():
        return
    deadline = time.monotonic() + PATIENCE
    while _is_held(folder / LOCK):
        if time.monotonic() > deadline:
            raise InputError(_in_use(folder / LOCK))
        time.sleep(0.05)


def _is_held(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:  # removed in this moment, or not ours to write: then beginning the run says so
        return False
    try:
        _lock(file)
    except OSError as error:
        return error.errno not in WITHOUT_LOCKS
    finally:
        os.close(file)
    return False


def _in_use(path: Path) -> str:
    try:
        owner = f" (process {int(path.read_text(encoding='utf-8'))})"
    except (OSError, ValueError):  # Windows lets nobody read a locked file
        owner = ""
    return (
        f"output_dir {path.parent} is in use by another run{owner}: wait until it ends, or choose another --output_dir"
    )


def _leave_to_the_parent() -> None:
    """Close a forked child's copies: a worker that outlives its killed parent would still hold the lock."""
    for file in _held:
        os.close(file)
    _held.clear()


if sys.platform == "win32":  # where nothing forks
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    os.register_at_fork(after_in_child=_leave_to_the_parent)

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
