"""The commands that a page wants to be run: the lines of its code blocks whose info string is `bash run`.

python3 .ci/readme_commands.py README.md   # one command a line, as printed on the page

Such a block needs no data, no Hub and no browser, and ends by itself. Each line is one command for a shell of its own,
started in the root of the clone; comments and empty lines are none, and a backslash at the end goes on with the next.
"""

import re
import sys
from pathlib import Path

FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})\s*(?P<info>.*?)\s*")


def commands(page: str) -> list[str]:
    """The commands of a page in Markdown, first to last.

    Raises:
        ValueError: a code block does not end, or a command waits for its next line.
    """
    found: list[str] = []
    fence, runs, begun = "", False, ""
    for line in page.splitlines():
        mark = FENCE.fullmatch(line)
        if not fence:
            if mark:
                fence, runs = mark["fence"], mark["info"].split() == ["bash", "run"]
        elif mark and not mark["info"] and mark["fence"].startswith(fence):
            if begun:
                raise ValueError(f"a code block ends in the middle of a command: {begun}")
            fence = ""
        elif runs and (text := line.strip()) and (begun or not text.startswith("#")):
            begun += text
            if begun.endswith("\\"):
                begun = begun[:-1]
            else:
                found.append(begun)
                begun = ""
    if fence:
        raise ValueError(f"the last code block is not closed with {fence}")
    return found


if __name__ == "__main__":
    try:
        print("\n".join(commands(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {sys.argv[1]}: {error}")
