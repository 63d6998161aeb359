"""What holds for the repository as a whole: requirements, commands and links of the docs, pictures, words, files."""

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
import yaml

from pipeline.errors import InputError
from pipeline.settings.command_line import parse_command_line
from pipeline.settings.files import RECIPES
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHIPPED = sorted(RECIPES.glob("*.yaml"))
ENTRIES = sorted(ROOT.glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(RECIPES.glob("*.md"))]
OWN_PAGES = [page for page in PAGES if page.name != "sample_card.md"]  # a card links to files of its model repository

README_WORDS = 1800
LARGEST_FILE = 600 * 1024  # bytes
IMAGES = 300 * 1024  # bytes, all pictures of the docs together
ODD_WORDS = re.compile(r"\b(?:alone|told|anew|lest)\b", re.IGNORECASE)  # say only, reported, again, so that ... not
ODD_WORDS_LEFT = 25
WRITTEN = {".py", ".md", ".jinja", ".yaml", ".html"}
TOKEN = re.compile(rb"hf_[A-Za-z0-9]{30,}")
MACHINE_PATH = re.compile(rb"(?<![\w.~$}])/(?:home|root|Users|mnt|tmp|work|opt|srv)/\w")
PACKAGE_HOST = re.compile(rb"pypi\.org|pythonhosted|download\.pytorch|(?:extra-)?index-url")
OPTIONAL = {"captum", "crepes", "pillow-heif", "hypothesis"}  # used where a person has installed it
# pytest-xdist runs the tests in two processes.
STARTED_NOT_IMPORTED = {"pytest-xdist"}


def name_in_repository(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_requirements_list_every_package_that_the_code_imports_and_no_other() -> None:
    requirements = (ROOT / "requirements.txt").read_text().splitlines()
    listed = {distribution(re.split(r"[^\w.-]", line)[0]) for line in requirements if not line.startswith("#")}
    assert imported_packages() - listed == OPTIONAL, "imported, but not in requirements.txt"
    assert listed - imported_packages() == STARTED_NOT_IMPORTED, "in requirements.txt, but not imported"


def test_every_requirement_has_a_lower_and_an_upper_bound() -> None:
    for name in ("requirements.txt", ".ci/requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert re.match(r"#|[\w-]+>=[\d.]+,<[\d.]+(\s+#|$)", line), f"{name}: {line}"


def test_readme_names_every_recipe() -> None:
    missing = [path.stem for path in SHIPPED if f"`{path.stem}`" not in README]
    assert SHIPPED
    assert missing == []


def test_readme_has_at_most_1800_words() -> None:
    assert len(README.split()) <= README_WORDS


@pytest.mark.parametrize("page", OWN_PAGES, ids=name_in_repository)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    missing = [link for link in relative_links(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert missing == []


def test_links_of_markdown_and_html_are_found_and_addresses_are_not() -> None:
    page = '[a](docs/a.md#part) ![b](b.png) <img src="docs/c.png" alt="c"> [d](https://x.org/d) [e](#part)'
    assert relative_links(page) == ["docs/a.md", "b.png", "docs/c.png"]


@pytest.mark.parametrize("page", OWN_PAGES, ids=name_in_repository)
def test_every_file_and_module_that_a_page_names_exists(page: Path) -> None:
    named = names_of_the_tree(page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_a_page_that_names_a_missing_file_or_module_would_be_noticed() -> None:
    page = "`pipeline/junk_room.py`, `hub/server/` and `python -m tests.benchmarks.speed_of_light RUN`, `hub/any/*.py`"
    assert names_of_the_tree(page) == ["pipeline/junk_room.py", "hub/server/", "tests/benchmarks/speed_of_light.py"]


def test_every_picture_of_the_docs_is_shown_and_all_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert sum(path.stat().st_size for path in pictures) < IMAGES
    shown = {(page.parent / link).resolve() for page in OWN_PAGES for link in relative_links(page.read_text("utf-8"))}
    assert [path.name for path in pictures if path not in shown] == []


def test_the_citation_file_names_title_version_licence_and_authors() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == README.splitlines()[0].removeprefix("# ")
    assert citation["license"] == "Apache-2.0"
    assert citation["message"] and citation["version"] and citation["authors"] == [{"name": "The contributors"}]


def test_the_repository_is_written_in_plain_english() -> None:
    found = {
        name_in_repository(path): words
        for path in files_of_the_repository()
        if path.suffix in WRITTEN and path != Path(__file__)
        if (words := ODD_WORDS.findall(path.read_text(encoding="utf-8")))
    }
    assert sum(map(len, found.values())) <= ODD_WORDS_LEFT, found


@pytest.mark.parametrize("page", [*OWN_PAGES, *SHIPPED, *ENTRIES], ids=name_in_repository)
def test_every_training_command_on_a_page_is_understood(page: Path) -> None:
    commands = training_commands(page.read_text(encoding="utf-8"))
    if page.suffix == ".yaml":
        assert len(commands) == 1, "the header of a recipe states its command"
    for words in commands:
        recipe = parse_command_line(words).recipe
        if page.suffix == ".yaml":
            assert recipe.name == page.stem


def test_a_training_command_with_an_unknown_recipe_or_setting_would_be_noticed() -> None:
    page = (
        "accelerate launch train_hf.py ferplus_vit_huge \\\n  --data_path DIR\nor `python train_hf.py --emma_decay=0.9`"
    )
    for words, wrong in zip(training_commands(page), ("ferplus_vit_huge", "emma_decay"), strict=True):
        with pytest.raises(InputError, match=wrong):
            parse_command_line(words)


def test_ci_runs_the_install_and_test_lines_of_readme_as_printed() -> None:
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
def test_only_blocks_marked_bash_run_are_commands(page: str, commands: list[str]) -> None:
    assert readme_commands()(page) == commands


@pytest.mark.parametrize("page", ["```bash run\necho 1\n", "```bash run\necho 1 \\\n```\n"])
def test_a_block_without_an_end_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="code block"):
        readme_commands()(page)


def test_no_file_is_above_600_kib() -> None:
    sizes = {name_in_repository(path): path.stat().st_size for path in files_of_the_repository()}
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
        name_in_repository(path): match[0]
        for path in files_of_the_repository()
        if path != Path(__file__) and (match := forbidden.search(path.read_bytes()))
    }
    assert found == {}


def distribution(name: str) -> str:
    """A package's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_packages() -> set[str]:
    """The distributions that the project's own code and tests import."""
    ours = {path.stem for path in ENTRIES} | {"pipeline", "hub", "tests"}
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
    """The words after `train_hf.py` of every command in a text, without commands that only ask for help."""
    joined = re.sub(r"\\\n\s*", " ", page)
    ends = re.findall(r"(?:accelerate launch|torchrun|python3?) (?:[^`\n]* )?train_hf\.py([^`\n]*)", joined)
    words = [re.sub(r"^([^']*)'$", r"\1", re.split(r"&&|[|;>]", end)[0]) for end in ends]  # as in bash -c '...'
    commands = [shlex.split(line, comments=True) for line in words]
    return [words for words in commands if "--help" not in words]


def relative_links(page: str) -> list[str]:
    """The targets of Markdown links and HTML pictures inside the repository, without their `#part`."""
    links = re.findall(r"\]\(([^()\s]+)\)|<img src=\"([^\"]+)\"", page)
    targets = [(markdown or html).partition("#")[0] for markdown, html in links]
    return [target for target in targets if target and not re.match(r"[a-z]+:", target)]


def names_of_the_tree(page: str) -> list[str]:
    """Files and folders between backticks, and the modules of `python -m`, as paths from the root."""
    paths = re.findall(r"`((?:pipeline|hub|tests|docs|\.ci)/[\w./-]*)`", page)
    modules = re.findall(r"python -m ((?:pipeline|hub|tests)[\w.]*)", page)
    files = [Path(*module.split(".")) for module in modules]
    return paths + [(path if (ROOT / path).is_dir() else path.with_suffix(".py")).as_posix() for path in files]


def readme_commands() -> Callable[[str], list[str]]:
    """`commands` of the script with which .ci/run reads README.md."""
    spec = importlib.util.spec_from_file_location("readme_commands", ROOT / ".ci" / "readme_commands.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.commands


def files_of_the_repository() -> list[Path]:
    """What git tracks, and new files that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip(f"not a git checkout: {listing.stderr.strip()}")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]
