"""Time of `push_to_hub.py` against a local Hub: the first time, again, and with one small change.

python -m tests.benchmarks.push_time RUN [--data_path DIR]

Prints a table: wall-clock seconds of the whole process, bytes that the Hub received, its requests. The Hub is
local, so this measures staging, export, checks and reading back, not the network. Each is measured once.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import ROOT
from tests.hub_server import HubServer

TOKEN = "hf_anna"


def main() -> None:
    """Push a run three times and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a finished run with test figures")
    parser.add_argument("--data_path", nargs="?", const="", help="as of push_to_hub.py")
    args = parser.parse_args()
    data = [] if args.data_path is None else ["--data_path", *filter(None, [args.data_path])]
    pushes = {"first": ["--tag", "v1"], "the same again": ["--tag", "v1"], "another tag and card": ["--tag", "v2"]}
    print("| push | seconds | MB received | requests |\n|---|---|---|---|")
    with HubServer() as hub, tempfile.TemporaryDirectory() as home:
        hub.add_user("anna", TOKEN)
        for name, words in pushes.items():
            del hub.requests[:]
            started = time.perf_counter()
            command = [sys.executable, "push_to_hub.py", args.run, "--repo_id", "anna/faces", *words, *data]
            done = subprocess.run(
                command, cwd=ROOT, env=hub.client_environment(Path(home), TOKEN), capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(done.stderr.splitlines()[-1])
            received = sum(request.received for request in hub.requests)
            print(f"| {name} | {time.perf_counter() - started:.0f} | {received / 1e6:.1f} | {len(hub.requests)} |")


if __name__ == "__main__":
    main()
