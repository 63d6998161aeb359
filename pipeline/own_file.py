"""The rule for a file of a folder that somebody else may have made: a regular file that lies in the folder.

Everything that is served, staged or hashed goes through here. Links that lead out of the folder could name any file of
this machine. Opening a pipe waits for ever, and a device never ends.
"""

import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath


def why_not_own(folder: Path, name: str) -> str | None:
    """Why the file `name` (a path below `folder`, with `/`) must not be read, or None.

    A link is followed. Where it ends must lie in `folder`. In a snapshot in the cache of the Hub's client every file is
    a link to a blob, so there it must lie in that repository's part of the cache.
    """
    if not is_below(name):
        return "is not the name of a file in this folder"
    try:
        status = (folder / name).stat()
        target = (folder / name).resolve(strict=True)
    except FileNotFoundError:
        return "is missing"
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, in Python before 3.13
        return f"cannot be read ({getattr(error, 'strerror', None) or 'links in a circle'})"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if not target.is_relative_to(_root(folder)):
        return "is a link that leads out of the folder"
    return None


def is_below(name: str) -> bool:
    """Whether a name that a file gives stays below the folder that it is joined to, on every operating system."""
    path = PurePosixPath(name)
    windows = PureWindowsPath(name)
    whole = bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
    return whole and "\\" not in name and not windows.drive


def files_below(folder: Path) -> list[str]:
    """The files below `folder`, sorted, as paths with `/`. Pipes, devices and links that lead out are left out."""
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    relative = sorted(path.relative_to(folder).as_posix() for path in found)
    return [name for name in relative if why_not_own(folder, name) is None]


def _root(folder: Path) -> Path:
    whole = folder.resolve()
    repository = whole.parent.parent
    in_cache = whole.parent.name == "snapshots" and (repository / "blobs").is_dir()
    return repository if in_cache else whole
