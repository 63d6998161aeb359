"""What runs a model in a browser: onnxruntime-web, fetched by npm, pinned by version and hashes, cached.

Its package has no licence file, so those of onnxruntime's Python package, which is the same project, go beside it.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from huggingface_hub import constants

from pipeline.errors import InputError

NAME, VERSION = "onnxruntime-web", "1.30.0"
TARBALL = f"{NAME}-{VERSION}.tgz"
PACK = f"npm pack {NAME}@{VERSION}"
FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    "ort.webgpu.min.mjs": "3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0",
    "ort-wasm-simd-threaded.asyncify.mjs": "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28",
    "ort-wasm-simd-threaded.asyncify.wasm": "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
}
"""File in `dist/` of the package -> its sha256: for processors, and for processors and graphics processors."""
LICENCES = {"LICENSE": "LICENSE", "ThirdPartyNotices.txt": "THIRD_PARTY_LICENSE"}
"""File of onnxruntime's Python package -> its name beside the libraries."""
SECONDS = 300  # that npm may take


def libraries(folder: str | None) -> dict[str, bytes]:
    """The files by name: from the tarball in `folder`, from the cache, or from npm.

    Raises:
        InputError: the tarball is missing and npm does not deliver it, or a file is not the pinned one.
    """
    tarball = Path(folder).expanduser() / TARBALL if folder else _cached()
    files = {name: _checked(tarball, name, content) for name, content in _unpacked(tarball).items()}
    package = importlib.util.find_spec("onnxruntime")
    assert package and package.origin, "requirements.txt has it"
    beside = Path(package.origin).parent
    return files | {name: (beside / file).read_bytes() for file, name in LICENCES.items()}


def _cached() -> Path:
    """The tarball in the cache of the Hub's client; npm fetches it the first time."""
    cache = Path(constants.HF_HOME) / "browser_libraries"
    if not (cache / TARBALL).is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as place:
            if why := _pack(place):
                raise InputError(f"--space: the page needs {NAME} {VERSION}, but {why}; {_how()}")
            (Path(place) / TARBALL).replace(cache / TARBALL)
    return cache / TARBALL


def _pack(place: str) -> str | None:
    """Let npm write the tarball into `place`; why it does not, or None."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    command = [npm, *PACK.split()[1:], "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=place, capture_output=True, encoding="utf-8", timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"npm took more than {SECONDS} s"
    if (Path(place) / TARBALL).is_file():
        return None
    return f"npm says: {' '.join(done.stderr.splitlines()[:2])[:200] or 'nothing'}"


def _how() -> str:
    return (
        f"where npm works, type {PACK!r} and name the folder of {TARBALL} with --browser_libraries, or choose "
        "--space_kind docker"
    )


def _unpacked(tarball: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(tarball, "r:gz") as package:
            members = {m.name: m for m in package.getmembers() if m.isfile()}
            return {name: _read(package, members.get(f"package/dist/{name}")) for name in FILES}
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or "is not a tarball of npm"
        raise InputError(f"{tarball}: {reason}; {_how()}") from None


def _read(package: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes:
    file = package.extractfile(member) if member else None
    return file.read() if file else b""


def _checked(tarball: Path, name: str, content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    if digest != FILES[name]:
        raise InputError(f"{tarball}: dist/{name} has sha256 {digest}, not {FILES[name]}: delete the file; {_how()}")
    return content
