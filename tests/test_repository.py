"""What is promised around the code: packages, the commands of the pages, and what the repository holds."""

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.files import RECIPES
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHIPPED = sorted(RECIPES.glob("*.yaml"))
ENTRIES = sorted(ROOT.glob("*.py"))

LARGEST_FILE = 600 * 1024  # bytes
TOKEN = re.compile(rb"hf_[A-Za-z0-9]{30,}")
MACHINE_PATH = re.compile(rb"(?<![\w.~$}])/(?:home|root|Users|mnt|tmp|work|opt|srv)/\w")
PACKAGE_HOST = re.compile(rb"pypi\.org|pythonhosted|download\.pytorch|(?:extra-)?index-url")
# The launcher, which Trainer asks for; what torch's exporter needs; what runs pytest in two processes.
STARTED_NOT_IMPORTED = {"accelerate", "onnxscript", "pytest-xdist"}


def test_requirements_list_every_package_that_the_code_imports_and_no_other() -> None:
    requirements = (ROOT / "requirements.txt").read_text().splitlines()
    listed = {distribution(re.split(r"[^\w.-]", line)[0]) for line in requirements if not line.startswith("#")}
    assert imported_packages() - listed == set(), "imported, but not in requirements.txt"
    assert listed - imported_packages() == STARTED_NOT_IMPORTED, "in requirements.txt, but not imported"


def test_every_requirement_has_a_lower_and_an_upper_bound() -> None:
    for name in ("requirements.txt", ".ci/requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert re.match(r"#|[\w-]+>=[\d.]+,<[\d.]+(\s+#|$)", line), f"{name}: {line}"


def test_readme_names_every_recipe() -> None:
    missing = [path.stem for path in SHIPPED if f"`{path.stem}`" not in README]
    assert SHIPPED
    assert missing == []


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", RECIPES / "README.md", *SHIPPED, *ENTRIES], ids=lambda path: path.name
)
def test_every_training_command_that_is_printed_is_understood(page: Path) -> None:
    commands = training_commands(page.read_text(encoding="utf-8"))
    if page.suffix == ".yaml":
        assert len(commands) == 1, "the header of a recipe states its command"
    for words in commands:
        recipe = parse_command_line(words).recipe
        if page.suffix == ".yaml":
            assert recipe.name == page.stem


def test_a_printed_command_with_an_unknown_recipe_or_setting_would_be_noticed() -> None:
    page = (
        "accelerate launch train_hf.py ferplus_vit_huge \\\n  --data_path DIR\nor `python train_hf.py --emma_decay=0.9`"
    )
    for words, wrong in zip(training_commands(page), ("ferplus_vit_huge", "emma_decay"), strict=True):
        with pytest.raises(InputError, match=wrong):
            parse_command_line(words)


def test_the_two_lines_of_readme_are_run_by_ci_as_printed() -> None:
    begin = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/"
    run = readme_commands()(README)
    assert f"{begin}accelerate launch train_hf.py" in run
    assert [line for line in run if "-m pytest" in line] == [f"{begin}python -m pytest -n 2 --dist loadfile"]


@pytest.mark.parametrize(
    ("page", "commands"),
    [
        ("```bash run\necho 1\n\n# no command\n  echo 2\n```\n", ["echo 1", "echo 2"]),
        ("```bash\necho no\n```\n```bash run\necho yes\n```\n```\necho no\n```\n", ["echo yes"]),
        ("```bash run\necho one \\\n  two\n```\n", ["echo one two"]),
        ("- a list\n\n  ```bash run\n  echo in a list\n  ```\n", ["echo in a list"]),
        ("````\n```bash run\necho shown, not run\n```\n````\n", []),
        ("```python run\nprint()\n```\n", []),
    ],
)
def test_blocks_marked_bash_run_are_commands_and_nothing_else_is(page: str, commands: list[str]) -> None:
    assert readme_commands()(page) == commands


@pytest.mark.parametrize("page", ["```bash run\necho 1\n", "```bash run\necho 1 \\\n```\n"])
def test_a_block_without_an_end_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="code block"):
        readme_commands()(page)


def test_no_file_is_above_600_kib() -> None:
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in files_of_the_repository()}
    assert {name: size for name, size in sizes.items() if size > LARGEST_FILE} == {}


@pytest.mark.parametrize(
    ("forbidden", "example"),
    [
        (TOKEN, b"hf_" + b"aB3" * 12),
        (MACHINE_PATH, b"data: /" + b"home/someone"),
        (PACKAGE_HOST, b"--index" + b"-url"),
    ],
    ids=["token", "machine path", "package host"],
)
def test_no_file_holds(forbidden: re.Pattern[bytes], example: bytes) -> None:
    assert forbidden.search(example)
    found = {
        path.relative_to(ROOT).as_posix(): match[0]
        for path in files_of_the_repository()
        if path != Path(__file__) and (match := forbidden.search(path.read_bytes()))
    }
    assert found == {}


def distribution(name: str) -> str:
    """A package's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_packages() -> set[str]:
    """The distributions that the project's own code and tests import."""
    space = {path.stem for path in (ROOT / "hub" / "server").glob("*.py")} | {"crop"}  # flat: a Space is one folder
    ours = {path.stem for path in ENTRIES} | {"pipeline", "hub", "tests"} | space
    modules: set[str] = set()
    for path in files_of_the_repository():
        inside = path.relative_to(ROOT).parts
        if path.suffix != ".py" or inside[0] == ".ci":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.split(".")[0])
    known = packages_distributions()
    return {distribution(known.get(name, [name])[0]) for name in modules - ours - sys.stdlib_module_names}


def training_commands(page: str) -> list[list[str]]:
    """The words after `train_hf.py` of every command in a text, those that only ask for help left out."""
    joined = re.sub(r"\\\n\s*", " ", page)
    ends = re.findall(r"(?:accelerate launch|torchrun|python3?) (?:[^`\n]* )?train_hf\.py([^`\n]*)", joined)
    words = [re.sub(r"^([^']*)'$", r"\1", re.split(r"&&|[|;>]", end)[0]) for end in ends]  # as in bash -c '...'
    commands = [shlex.split(line, comments=True) for line in words]
    return [words for words in commands if "--help" not in words]


def readme_commands() -> Callable[[str], list[str]]:
    """`commands` of the script that .ci/run reads README.md with."""
    spec = importlib.util.spec_from_file_location("readme_commands", ROOT / ".ci" / "readme_commands.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.commands


def files_of_the_repository() -> list[Path]:
    """What git tracks, or would: new files count before they are committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip(f"not a git checkout: {listing.stderr.strip()}")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]
