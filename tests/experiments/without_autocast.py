"""Run a plain script with autocast switched off: CPUs without bf16 units emulate it very slowly.

python -m tests.experiments.without_autocast SCRIPT [word ...]

Only `with torch.autocast(...)` is switched off; other ways to autocast stay on.
"""

import contextlib
import runpy
import sys
from typing import Any

import torch


def main() -> None:
    """Run the script as `python SCRIPT word ...` would, except that its folder is not put on the path."""
    if len(sys.argv) < 2:
        raise SystemExit((__doc__ or "").strip())
    sys.argv = sys.argv[1:]

    def off(*_: Any, **__: Any) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    torch.autocast = off  # type: ignore[assignment, misc]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
