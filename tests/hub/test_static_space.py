"""The static Space: what is staged, which libraries are taken, what is refused, and how it replaces another kind."""

import hashlib
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from huggingface_hub import HfApi, SpaceCard
from onnx import TensorProto, helper, numpy_helper, save

from hub import face_detector, space_folder
from hub.options import check_access
from hub.privacy import refuse_private
from hub.run_data import drawn_face
from hub.space_release import send_space
from hub.staging import check
from hub.static_space import folder as static_space
from hub.static_space import libraries
from hub.static_space.folder import CROP
from pipeline import crop
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from push_to_hub import main, parse
from tests.conftest import ROOT
from tests.hub.conftest import pack
from tests.hub_server import HubServer
from tests.publish_faults import client_settings

TOKEN = "hf_" + "anna" * 8
MODEL, SPACE = "anna/faces", "anna/demo"
CLASSES = ("anger", "happiness", "sadness")
SIZE = 32
SHARES = {name: (rank + 1) / sum(range(len(CLASSES) + 1)) for rank, name in enumerate(CLASSES)}
TERMS = {"license": "other", "license_name": "no-open-licence-see-card", "license_link": "https://example.org/terms"}
PAGE = ROOT / "hub" / "server" / "page"
OWN = ROOT / "hub" / "static_space"


def small_model(path: Path) -> None:
    """`image` to `probabilities`: a softmax of the mean of all values times 1, 2 and 3."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", 3])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [3])
    weights = numpy_helper.from_array(np.array([0.01, 0.02, 0.03], np.float32), "weights")
    steps = [
        helper.make_node("Cast", ["image"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=0),
    ]
    graph = helper.make_graph(steps, "small", [image], [answer], [weights])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """What the Space reads of a staged release."""
    folder = tmp_path / "release"
    (folder / "onnx").mkdir(parents=True)
    (folder / "examples").mkdir()
    small_model(folder / "onnx" / static_space.MODEL)
    draw_face("happiness", 0, 1, SIZE).save(folder / "examples" / "happiness.png")
    sides = {"size": {"height": SIZE, "width": SIZE}}
    sources = {"drawn": {"title": "drawn faces", "origin": "drawn"}, "mine": {"title": "my faces", "origin": "local"}}
    for name, content in {
        "config.json": {"id2label": dict(enumerate(CLASSES)), "class_shares": SHARES},
        "preprocessor_config.json": sides,
        "curation.json": {"sources": sources},
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def staged(release: Path, detector_weights: Path, packed: Path, tmp_path: Path) -> Path:
    files, photo = libraries.libraries(str(packed)), face_detector.photo_of(drawn_face())
    static_space.stage(tmp_path / "space", release, MODEL, "v1.0", detector_weights, files, photo, TERMS)
    return tmp_path / "space"


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def about(staged: Path) -> dict[str, Any]:
    return json.loads((staged / "model" / "about.json").read_text())


# ---- What is staged


def test_the_folder_holds_the_servers_page_and_all_that_answers_in_the_browser(staged: Path, release: Path) -> None:
    shared = {path.name for path in PAGE.iterdir()} - {"page.html", "answers.js"}
    own = {path.name for path in OWN.glob("*.js")}
    page = {"index.html", *(f"page/{name}" for name in shared | own)}
    model = {f"model/{name}" for name in (static_space.MODEL, crop.YUNET, "about.json", "self_test.png", "LICENSE")}
    library = {f"onnxruntime-web/{name}" for name in (*libraries.FILES, "LICENSE", "THIRD_PARTY_LICENSE")}
    assert files_in(staged) == page | model | library | {"README.md", "LICENSE", "examples/happiness.png"}
    assert all((staged / "page" / name).read_bytes() == (PAGE / name).read_bytes() for name in shared)
    assert all((staged / "page" / name).read_bytes() == (OWN / name).read_bytes() for name in own)
    assert (staged / "index.html").read_bytes() == (PAGE / "page.html").read_bytes()
    weights = (staged / "model" / static_space.MODEL).read_bytes()
    assert weights == (release / "onnx" / static_space.MODEL).read_bytes()
    assert all(any(fnmatch(name, part) for part in space_folder.PUBLISHED) for name in files_in(staged))
    refuse_private(staged, "anna")


def test_every_script_that_a_script_imports_is_staged(staged: Path) -> None:
    for script in (staged / "page").glob("*.js"):
        for imported in re.findall(r'from "\./([^"]+)"', script.read_text()):
            assert (staged / "page" / imported).is_file(), (script.name, imported)


def test_both_kinds_of_answers_offer_the_page_the_same(staged: Path) -> None:
    exported = [re.findall(r"^export (?:async )?(?:const|function) (\w+)", path.read_text(), re.M)
                for path in (PAGE / "answers.js", OWN / "answers.js")]  # fmt: skip
    assert sorted(exported[0]) == sorted(exported[1]) == ["HAS_API", "KEEPS", "about", "examples", "predict"]


def test_the_page_may_reach_no_other_host(staged: Path) -> None:
    html = (staged / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'self'" and "connect-src" not in rules
    assert not re.search(r"https?:", policy) and "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
    own = [*(staged / "page").iterdir(), staged / "index.html"]
    addresses = [
        address for file in own for address in re.findall(r"""["'`(](?:https?:)?//[^"'`)\s]+""", file.read_text())
    ]
    assert addresses == []


def test_the_page_gets_what_the_server_would_say_and_the_numbers_of_the_one_crop(staged: Path) -> None:
    said = about(staged)
    assert (said["model"], said["revision"], said["card"]) == (MODEL, "v1.0", f"https://huggingface.co/{MODEL}")
    assert (said["classes"], said["size"], said["align"]) == (list(CLASSES), SIZE, False)
    assert (said["trained_on"], said["drawn_only"]) == (["drawn faces", "my faces"], False)
    assert said["examples"] == ["happiness"]
    assert said["assumed_shares"] == {name: pytest.approx(share) for name, share in SHARES.items()}
    assert said["crop"] == {name: list(v) if isinstance(v, tuple) else v for name, v in CROP.items()}
    stored = said["self_test"]
    assert len(stored["box"]) == 4 and sum(stored["probabilities"]) == pytest.approx(1, abs=1e-6)


def test_a_model_of_drawn_faces_only_is_called_so_and_has_an_open_licence(
    release: Path, detector_weights: Path, packed: Path, tmp_path: Path
) -> None:
    (release / "curation.json").write_text('{"sources": {"drawn": {"title": "drawn faces", "origin": "drawn"}}}')
    photo = face_detector.photo_of(drawn_face())
    files = libraries.libraries(str(packed))
    open_licence = {"license": "apache-2.0"}
    static_space.stage(tmp_path / "space", release, MODEL, "v1.0", detector_weights, files, photo, open_licence)
    assert about(tmp_path / "space")["drawn_only"] is True
    metadata = SpaceCard((tmp_path / "space" / "README.md").read_text()).data.to_dict()
    assert metadata["license"] == "apache-2.0" and "license_name" not in metadata


def test_the_readme_has_what_the_hub_reads_and_what_a_visitor_should_know(staged: Path) -> None:
    card = SpaceCard((staged / "README.md").read_text())
    metadata = card.data.to_dict()
    assert (metadata["sdk"], metadata["models"], metadata["license"]) == ("static", [MODEL], "other")
    assert metadata["license_link"] == TERMS["license_link"]
    assert metadata["custom_headers"] == {
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "cross-origin",
    }
    assert len(metadata["short_description"]) <= 60, "the Hub takes no more"
    for words in ("No picture leaves your device", "5(1)(f)", "50(3)", "python -m http.server", libraries.VERSION):
        assert words in " ".join(card.text.split())
    assert "Microsoft" in (staged / "onnxruntime-web" / "LICENSE").read_text()
    assert "Shiqi Yu" in (staged / "model" / "LICENSE").read_text()


# ---- Libraries


def test_a_library_that_is_not_the_pinned_one_is_refused(packed: Path) -> None:
    pack(packed, dict.fromkeys(libraries.FILES, b"other"))
    with pytest.raises(InputError, match=r"dist/ort.wasm.min.mjs has sha256 .*, not .*: delete the file; .*npm pack"):
        libraries.libraries(str(packed))


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"no tarball", "is not a tarball of npm"), (b"", "not a tarball")]
)
def test_a_folder_without_the_tarball_is_refused_with_what_to_type(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / libraries.TARBALL).write_bytes(content)
    with pytest.raises(InputError, match=f"{reason}.*; where npm works, type 'npm pack onnxruntime-web@"):
        libraries.libraries(str(tmp_path))


PLACE = b"\0asm\1\0\0\0\0/mnt/azure_nvme_temp/onnxruntime/build\0"
"""As in the pinned .wasm files: the folder where their makers built them."""


def test_only_the_pinned_libraries_may_hold_a_path_of_their_makers_machine(
    packed: Path, staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = staged / "onnxruntime-web" / "ort-wasm-simd-threaded.wasm"
    file.write_bytes(PLACE)
    with pytest.raises(InputError, match="ort-wasm-simd-threaded.wasm is of a kind that cannot be searched"):
        check([staged], options())
    pinned = libraries.FILES | {file.name: hashlib.sha256(PLACE).hexdigest()}
    monkeypatch.setattr(libraries, "FILES", pinned)
    check([staged], options())


def program(folder: Path, script: str) -> None:
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)


def test_npm_fetches_the_libraries_once(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin", f'echo "$@" >> {tmp_path}/asked\ncp {packed / libraries.TARBALL} .')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(libraries, "constants", SimpleNamespace(HF_HOME=str(tmp_path / "home")))
    first, again = libraries.libraries(None), libraries.libraries(None)
    assert first == again and first.keys() >= libraries.FILES.keys()
    assert (tmp_path / "asked").read_text() == f"pack onnxruntime-web@{libraries.VERSION} --loglevel=error\n"


@pytest.mark.parametrize(
    ("script", "reason"), [(None, "npm is not installed"), ("echo 'npm error: no network' >&2; exit 1", "no network")]
)
def test_without_npm_one_line_says_what_to_type_before_anything_is_staged(
    script: str | None,
    reason: str,
    publishable_run: Path,
    detector_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "bin").mkdir()
    if script:
        program(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + (":/bin" if script else ""))
    monkeypatch.setattr(libraries, "constants", SimpleNamespace(HF_HOME=str(tmp_path / "home")))
    monkeypatch.setattr("hub.staging.stage", lambda *_: pytest.fail("nothing is staged"))
    words = ["--repo_id", MODEL, "--space", SPACE, "--dry_run", "--face_detector", str(detector_weights)]
    with pytest.raises(InputError, match=f"--space: .*{reason}.*npm pack .*--browser_libraries.*--space_kind docker"):
        main([str(publishable_run), *words])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--space_kind docker", "are for --space: name the Space too"),
        ("--browser_libraries DIR", "are for --space: name the Space too"),
        ("--space anna/demo --space_kind docker --browser_libraries DIR", "is for a static Space"),
    ],
)
def test_options_of_a_space_need_that_space(words: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse(["run", "--repo_id", MODEL, *words.split()])


# ---- On the Hub


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server, client_settings([]):
        server.add_user("anna", TOKEN)
        server.add_repo(MODEL, {"config.json": b"{}"})
        yield server


def options(*words: str) -> Any:
    return parse(["run", "--repo_id", MODEL, "--space", SPACE, *words])


def test_a_static_space_is_made_and_takes_the_place_of_a_docker_space_and_back(
    hub: HubServer, staged: Path, detector_weights: Path, tmp_path: Path
) -> None:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    send_space(api, staged, options(), exists=False)
    assert api.space_info(SPACE).sdk == "static"
    mine = api.upload_file(path_or_fileobj=b"hers", path_in_repo="mine.txt", repo_id=SPACE, repo_type="space")
    assert mine
    space_folder.stage(tmp_path / "docker", MODEL, "v1.0", detector_weights)
    for kind, folder in (("docker", tmp_path / "docker"), ("static", staged)):
        assert space_folder.check_space(api, SPACE, print)
        send_space(api, folder, options("--space_kind", kind), exists=True)
        assert api.space_info(SPACE).sdk == kind
        assert hub.repo(SPACE, "space").files().keys() - {".gitattributes"} == files_in(folder) | {"mine.txt"}


def test_the_weights_of_a_private_model_never_go_into_a_public_space(hub: HubServer) -> None:
    hub.repo(MODEL).private = True
    api, docker = HfApi(endpoint=hub.url, token=TOKEN), options("--space_kind", "docker")
    repo = hub.add_repo(SPACE, {"README.md": b"---\nsdk: static\n---\n"}, repo_type="space")
    with pytest.raises(InputError, match=f"--space {SPACE} is public, and would give everybody the weights of {MODEL}"):
        check_access(api, options())
    assert check_access(api, docker).space, "a Docker Space holds no weights"
    repo.private = True
    assert check_access(api, options()).space


def test_a_new_static_space_of_a_private_model_is_private(hub: HubServer, staged: Path) -> None:
    hub.repo(MODEL).private = True
    send_space(HfApi(endpoint=hub.url, token=TOKEN), staged, options(), exists=False)
    assert hub.repo(SPACE, "space").private
