"""Lists the commands of a page that CI runs: the lines of its code blocks whose info string is `bash run`.

python3 .ci/readme_commands.py README.md   # prints one command per line, as on the page

The commands of such a block need no data, no Hub and no browser, and they end by themselves. Each line is one command,
run by its own shell in the root of the clone. Comments and empty lines are skipped. A backslash at the end of a line
continues the command on the next line.
"""

import re
import sys
from pathlib import Path

FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})\s*(?P<info>.*?)\s*")


def commands(page: str) -> list[str]:
    """The commands of a Markdown page, in order.

    Raises:
        ValueError: a code block is not closed, or ends in the middle of a command.
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
