"""Random damage for a time: decoders, `config.json`, `preprocessor_config.json`, forms and the seal of a run.

    python -m tests.hostile.fuzz --minutes 10

Run by hand, with `pip install hypothesis`. Every example must be read or refused in one line; anything else ends the
command with the smallest example that hypothesis finds. Memory and open descriptors are printed before and after.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from hub.server.bodies import read_files, read_question
from hub.server.contract import Refused
from hub.server.engine import load_model
from pipeline import run_folder
from pipeline.errors import InputError
from pipeline.pictures import FORMATS, UnusablePicture, decode
from tests.hostile import files

NOISE = Image.effect_noise((40, 30), 60)
PICTURES = {kind: files.encoded(NOISE.convert("RGB"), kind) for kind in FORMATS if kind != "PPM"}
PICTURES["progressive JPEG"] = files.encoded(NOISE, "JPEG", progressive=True)
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
PATHS = st.sampled_from(["../x", "/etc/passwd", "examples/../../x", "examples", "a\0b", "C:x", "..\\x", "", ".", "é"])
EDITS = st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=6)), min_size=1, max_size=8)
COUNTS: Counter[str] = Counter()
QUIET = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


def damaged(content: bytes, edits: list[tuple[int, bytes]], cut: int) -> bytes:
    """`content` with some bytes replaced, and its end cut off in half of the cases."""
    changed = bytearray(content)
    for place, part in edits:
        changed[place % len(changed) : place % len(changed) + len(part)] = part
    return bytes(changed[: cut % len(changed)] if cut % 2 else changed)


def counted(name: str, work: Callable[[], object], *refusals: type[Exception]) -> None:
    """Do `work`, and count whether it was read or refused; any other exception is a find."""
    try:
        work()
    except refusals as error:
        assert "\n" not in str(error), error
        COUNTS[f"{name}: refused"] += 1
    else:
        COUNTS[f"{name}: read"] += 1


def decoders(one: st.DataObject) -> None:
    content = PICTURES[one.draw(st.sampled_from(sorted(PICTURES)))]
    picture = damaged(content, one.draw(EDITS), one.draw(st.integers(0, 2**16)))
    counted("decoders", lambda: decode(picture, 10_000_000), UnusablePicture)


def settings_of_a_model(one: st.DataObject, place: Path) -> None:
    name = one.draw(st.sampled_from(["config.json", "preprocessor_config.json"]))
    whole = json.loads((place / "model" / name).read_text())
    field = one.draw(st.sampled_from(sorted(whole)) | st.text(max_size=8))
    (place / "spoilt" / name).write_text(json.dumps(whole | {field: one.draw(JSON)}))
    try:
        counted(name, lambda: load_model(str(place / "spoilt"), threads=1), InputError)
    finally:
        (place / "spoilt" / name).write_text(json.dumps(whole))


def forms(one: st.DataObject) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc\r\n--x--\r\n'
    body = damaged(part, one.draw(EDITS), one.draw(st.integers(0, 2**16)))
    counted("forms", lambda: read_files(body, "multipart/form-data; boundary=x", 4), Refused)
    asked = json.dumps({"inputs": one.draw(st.text(max_size=9)), one.draw(st.text(max_size=9)): one.draw(JSON)})
    counted("questions", lambda: read_question(asked.encode(errors="surrogatepass"), "application/json"), Refused)


def seals(one: st.DataObject, place: Path) -> None:
    run = place / "run"
    right = {name: run_folder.sha256(run / name) for name in run_folder.ALWAYS_SEALED}
    names = one.draw(st.dictionaries(PATHS | st.text(max_size=12), st.just("0" * 64) | JSON, max_size=3))
    hashes = one.draw(st.sampled_from([right | names, names, one.draw(JSON)]))
    (run / "environment.json").write_text(json.dumps({"sha256": hashes}))
    content: dict[str, Any] = {"classes": one.draw(JSON)}
    (run / "evaluation.json").write_text(json.dumps(content | {"sha256": {}} if one.draw(st.booleans()) else content))
    counted("environment.json", lambda: run_folder.verify(run), InputError)


def state() -> str:
    """Memory and open descriptors of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return f"{memory / 1024:,.0f} MiB, {len(os.listdir('/proc/self/fd'))} descriptors, {len(os.listdir('/proc/self/task'))} threads"  # noqa: PTH208, E501


def prepare(place: Path) -> None:
    """A model, a copy of it to spoil, and a run."""
    files.model_folder(place / "model")
    files.model_folder(place / "spoilt")
    (place / "run").mkdir()
    for name in run_folder.ALWAYS_SEALED:
        (place / "run" / name).write_text("{}")


def main(words: list[str]) -> None:
    """Fuzz for the given time, in rounds of 200 examples of each kind."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    until = time.monotonic() + 60 * parser.parse_args(words).minutes
    with tempfile.TemporaryDirectory() as made:
        place, rounds = Path(made), 0
        prepare(place)
        kinds: list[Callable[[st.DataObject], None]] = [
            decoders,
            forms,
            lambda one: settings_of_a_model(one, place),
            lambda one: seals(one, place),
        ]
        while time.monotonic() < until:
            for kind in kinds:
                seed(rounds)(QUIET(given(st.data())(kind)))()
            rounds += 1
            if rounds == 1:
                print(f"after the first round: {state()}", flush=True)
    for name, count in sorted(COUNTS.items()):
        print(f"{count:>9,}  {name}")
    print(f"after {rounds} rounds: {state()}")


if __name__ == "__main__":
    main(sys.argv[1:])
