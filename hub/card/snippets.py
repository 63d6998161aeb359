"""The snippets of the card: each runs as printed, on an example of the repository."""

from dataclasses import dataclass
from typing import Any

from hub.card.metadata import Publication, tags_of
from hub.clients.clients import CLIENTS, NODE_PACKAGE, OF_ADAPTERS, TIMM, Client
from hub.static_space import libraries
from pipeline import crop
from pipeline.run_folder import Run

FIRST = "happiness.png"
"""The example that snippets classify, if there is one of it."""


@dataclass(frozen=True)
class Snippet:
    """A folded part of the card: heading, template in `clients/snippets/`, language, and its picture as code.

    `install` is the command that installs what it imports; None for a page, which loads it.
    """

    heading: str
    snippet: str
    language: str
    picture: str
    is_web: bool = False
    install: str | None = None


def words_of(run: Run, publication: Publication) -> dict[str, Any]:
    """What the templates of snippets name."""
    first = OF_ADAPTERS["peft"] if publication.base else CLIENTS["pipeline()"]
    return {
        "model": publication.repo_id,
        "repository": f"https://huggingface.co/{publication.repo_id}",
        "revision": publication.revision,
        "ref": publication.ref,
        "picture": in_python(publication, example_of(publication)),
        "photo": in_python(publication, publication.photo),
        "top_k": len(run.outputs),
        "scored": bool(run.scores),
        "detector": publication.detector,
        "box_area": round(crop.BOX_WIDTH * crop.BOX_HEIGHT, 3),
        "centre": crop.BOX_CENTRE,
        "onnxruntime_web": libraries.VERSION,
        "install": install_of(first, run, publication.base),
    }


def folded(run: Run, publication: Publication) -> list[Snippet]:
    """The snippets that the card folds away under a heading: those of clients that can load this release."""
    if publication.base:  # only peft can
        return []
    loads_in_node = "transformers.js" in tags_of(run, publication)
    there = {file["file"] for file in (publication.export or {"files": []})["files"]}
    name, found = example_of(publication), []
    for client in CLIENTS.values():
        loads = (not client.is_onnx or client.file in there) and (not client.is_node or loads_in_node)
        if not client.heading or not loads:
            continue
        language = "js" if client.is_node else "python"
        picture = in_javascript(publication, name) if client.is_node else in_python(publication, name)
        install = install_of(client, run)
        found.append(Snippet(client.heading, client.snippet, language, picture, client.is_web, install))
    if "model_with_preprocessing.onnx" in there:
        heading = "In a browser, without a server: a page to save as a file and open"
        found.append(Snippet(heading, "use_browser.html.jinja", "html", in_javascript(publication, name)))
    return found


def install_of(client: Client, run: Run, base: str | None = None) -> str:
    """The command that installs what the lines of a client import; `base` is the model that an adapter is put on."""
    if client.is_node:
        return f"npm install {NODE_PACKAGE}"
    is_timm = run.config["model_type"] == TIMM or (base or "").startswith("timm/")
    packages = ("huggingface_hub",) if client.is_web else client.packages
    return " ".join(["pip install", *packages, *(["timm"] if is_timm and "transformers" in packages else [])])


def example_of(publication: Publication) -> str:
    """The picture in the repository that snippets classify."""
    names = sorted(publication.examples)
    return f"examples/{FIRST if FIRST in names or not names else names[0]}"


def in_python(publication: Publication, file: str) -> str:
    """The expression that downloads a file of the release and gives its path."""
    revision = f', revision="{publication.revision}"' if publication.revision else ""
    return f'hf_hub_download("{publication.repo_id}", "{file}"{revision})'


def in_javascript(publication: Publication, file: str) -> str:
    """The address of a file of the release."""
    return f"'https://huggingface.co/{publication.repo_id}/resolve/{publication.ref}/{file}'"
