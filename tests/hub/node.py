"""Run scripts of the page in node, without a browser."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PLACES = (ROOT / "hub" / "server" / "page", ROOT / "hub" / "static_space")
AROUND = """
import {{ readFileSync, writeFileSync }} from 'node:fs';
const given = JSON.parse(readFileSync('given.json', 'utf8'));
{code}
writeFileSync('result.json', JSON.stringify(result));
"""


def in_node(folder: Path, code: str, given: Any = None) -> Any:
    """`result` of JavaScript that sees `given` and imports the page's modules from `./`; skips without node."""
    if not shutil.which("node"):
        pytest.skip("node is not on the PATH")
    for place in PLACES:
        for script in place.glob("*.js"):
            shutil.copyfile(script, folder / script.name)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "given.json").write_text(json.dumps(given))
    imports, _, rest = code.strip().rpartition(";\n\n") if code.strip().startswith("import") else ("", "", code)
    (folder / "script.js").write_text((imports and imports + ";\n") + AROUND.format(code=rest))
    done = subprocess.run(["node", "script.js"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "result.json").read_text())
