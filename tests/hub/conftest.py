"""The libraries of the static Space's page, small."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from hub.static_space import libraries


def pack(folder: Path, files: dict[str, bytes]) -> None:
    """A tarball as npm makes it, with these files in `dist/`."""
    with tarfile.open(folder / libraries.TARBALL, "w:gz") as package:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tarball of tiny libraries, whose hashes are the expected ones."""
    files = {name: f"the content of {name}".encode() for name in libraries.FILES}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(libraries, "FILES", hashes)
    (tmp_path / "libraries").mkdir()
    pack(tmp_path / "libraries", files)
    return tmp_path / "libraries"
