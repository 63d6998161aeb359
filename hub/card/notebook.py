"""The notebook of a release: the snippets of its card as cells that run in Colab as they are."""

from typing import Any

from hub.card import snippets
from hub.card.metadata import Publication
from hub.templates import templates
from pipeline.run_folder import Run

SHOW = """from PIL import Image

Image.open({picture})"""


def make_notebook(run: Run, publication: Publication) -> dict[str, Any]:
    """A notebook in nbformat 4.5: install, classify an example, show it, and crop a face if the detector is there."""
    words = snippets.words_of(run, publication)
    name = publication.name
    cells = [
        _text(f"# {name}\n\n{_purpose(run)} a picture of one face. An expression is not an emotion: "
              f"read the [model card]({words['repository']}) first."),
        _code("%" + words["install"] + (" opencv-python-headless" if publication.detector else "")),
        _code(_rendered("use_pipeline.py.jinja", words)),
        _code(SHOW.format(picture=words["picture"])),
    ]  # fmt: skip
    if publication.detector:
        cells += [_text("## Find and crop a face\n\nPut your own photo in place of the example."),
                  _code(_rendered("use_face_crop.py.jinja", words))]  # fmt: skip
    numbered = [cell | {"id": f"cell-{number}"} for number, cell in enumerate(cells)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": numbered, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _purpose(run: Run) -> str:
    return f"Estimates {', '.join(run.scores)} in" if run.scores else "Names the facial expression in"


def _rendered(snippet: str, words: dict[str, Any]) -> str:
    return templates().get_template(f"clients/snippets/{snippet}").render(words).strip()


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)}


def _code(source: str) -> dict[str, Any]:
    lines = source.splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": lines}
