"""Each source of the pictures has a file with its terms in the release."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from hub import licences, staging
from pipeline.source import Source

ODD = ["drawn", "USER/faces", "user faces", "../../etc", "", ".", "a/b", "a b", "\u063a\u0636\u0628", "x" * 300,
       "x" * 299, 'a"b\n', "A|B", "CON", "user-faces-2"]  # fmt: skip


def source(id: str, **fields: object) -> Source:
    return Source(id=id, title=f"title of {id}", layout="class folders", origin="local", **fields)


def test_every_source_has_a_file_of_its_own_with_a_plain_name(tmp_path: Path) -> None:
    sources = [source(name, terms=f"terms number {number}") for number, name in enumerate(ODD)]
    licences.stage(tmp_path, sources)
    files = licences.files_of(sources)
    assert len({file.lower() for file in files.values()}) == len(ODD)
    for number, file in enumerate(files.values()):
        assert re.fullmatch(r"licences/[a-z0-9_-][a-z0-9._-]{0,70}\.txt", file), file
        assert f"Terms: terms number {number}\n" in (tmp_path / file).read_text()
        assert any(fnmatch(file, pattern) for pattern in staging.PUBLISHED), "a later release deletes it"


def test_a_source_under_the_licence_of_the_project_has_its_whole_text() -> None:
    text = licences.text_of(source("drawn", licence="Apache-2.0"))
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text and "Licence: Apache-2.0\n" in text
    assert "TERMS AND CONDITIONS" not in licences.text_of(source("photos", terms="drawn, Apache-2.0"))


@pytest.mark.parametrize("field", ["title", "terms", "citation"])
def test_text_of_a_source_is_one_line(field: str) -> None:
    about = Source(**{"id": "x", "title": "x", "layout": "x", "origin": "local"} | {field: "one\nLicence: MIT\x1b[2J"})
    lines = licences.text_of(about).splitlines()
    assert [line for line in lines if line.startswith("Licence:")] == ["Licence: other (no standard licence)"]
    assert [line for line in lines if "one Licence: MIT" in line and "\x1b" not in line]


def test_the_file_says_what_the_record_says() -> None:
    text = licences.text_of(source("ferplus", datasets=("FER2013", "FER+"), citation="Barsoum et al.", terms="MIT"))
    assert "Consists of: FER2013, FER+\nCite: Barsoum et al.\n" in text
    assert "No picture of this source is in this repository." in text
