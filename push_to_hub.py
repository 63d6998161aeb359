"""Publish a finished run: stage it, check it, send it in one commit, tag it, read it back.

python push_to_hub.py runs/NAME --repo_id user/fer-vit-tiny --tag v1.0
python push_to_hub.py runs/NAME --repo_id user/fer-vit-tiny --space user/demo   # and the app, as a Space that shows it
python push_to_hub.py runs/NAME --repo_id user/fer-vit-tiny --dry_run       # stops after the checks; look at the folder
python push_to_hub.py --help
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError, end_in_one_line


def main(argv: list[str]) -> None:
    """Walk the line from left to right: run folder, staging, checks, one commit, proof."""
    args = parse(argv)

    from huggingface_hub import HfApi

    from hub import access, attempts, privacy, space_folder, staging
    from hub.clients import clients
    from hub.run import load_run
    from hub.upload import Release, publish

    access.check_repo_id(args.repo_id)
    run = load_run(args.run)
    api = HfApi()
    attempts.set_timeouts()
    exists = args.dry_run or access.check_access(api, args.repo_id, print, write=not args.create_pr)
    if args.space:
        access.check_repo_id(args.space, "space")
        space_exists = args.dry_run or space_folder.check_space(api, args.space, print)
    with tempfile.TemporaryDirectory(prefix=f".{run.path.name}-", dir=run.path.resolve().parent) as place:
        folder, space = Path(place) / "staged", Path(place) / "staged-space"
        if args.space:  # first: what it lacks is told before anything else is made or sent
            stage_space(run, space, args, args.tag or args.revision)
        staging.stage(run, folder, args.with_predictions)
        describe(run, folder, args)
        privacy.refuse_private(folder, args.repo_id.partition("/")[0])
        staged = [folder, space] if args.space else [folder]
        print(*map(staging.listing, staged), sep="\n\n")
        if args.dry_run:
            kept = [staging.keep(path, run.path.with_name(f"{run.path.name}-{path.name}")) for path in staged]
            print("", *kept, "nothing was sent; read the README.md there, then leave --dry_run out", sep="\n")
            return
        message = f"Publish {run.path.name}" + (f" as {args.tag}" if args.tag else "")
        release = Release(args.repo_id, args.tag, args.revision, args.private, args.create_pr, message)
        published = publish(api, folder, release, exists, print)
        print(f"sent: {published.files} files, {published.bytes / 1e6:.1f} MB")
        prove(run, folder, args.repo_id, published.commit)
        if args.space:
            stage_space(run, space, args, args.tag or published.commit)
            print(f"\n{publish_space(api, space, args, space_exists)}")
    lines = clients.render("use_pipeline.py.jinja", args.repo_id, "face.png", args.tag, len(run.classes))
    print(f"\n{published.url}\n\n{lines}")


def describe(run: Any, folder: Path, args: argparse.Namespace) -> None:
    """ONNX files, the proof that clients agree, and the card, each from what stands in the folder by then."""
    rows = validation_rows(run, args.data_path)  # first: a wrong --data_path needs no torch to be told

    from hub.card import card, metadata
    from hub.clients import parity
    from hub.clients.picture_kinds import picture_kinds
    from hub.export import export
    from pipeline.run_folder import write_json
    from pipeline.training.prediction import probabilities_of_files

    exported = export.export_onnx(run, folder, rows)
    with tempfile.TemporaryDirectory() as place:
        size = run.recipe["image_size"]
        kinds = picture_kinds(Path(place), drawn_faces(), (size, size))
        compared = parity.measure_parity(folder, kinds, probabilities_of_files(folder, kinds, size), args.repo_id)
    if beyond := parity.beyond_tolerance(compared):
        raise InputError(f"nothing was sent, for clients disagree: {'; '.join(beyond[:3])}")
    write_json(folder / "parity.json", compared)
    examples = card.example_scores(run)
    publication = metadata.Publication(args.repo_id, args.tag, exported, compared, examples, shipped_settings(run))
    (folder / "README.md").write_text(card.make_card(run, publication), encoding="utf-8")


def drawn_faces() -> list[Any]:
    """A face of each expression, whatever classes the model has: what clients are compared on."""
    from pipeline.drawn.face import draw_face
    from pipeline.expressions import CLASSES

    return [draw_face(name, seed=2026, index=index, size=224) for index, name in enumerate(CLASSES)]


def validation_rows(run: Any, data_path: str | None) -> Any:
    """The run's validation pictures, from `data_path` or from where its recipe says; None where nobody asked."""
    from pipeline.data.curation import curate
    from pipeline.data.readers import read_sources
    from pipeline.settings.files import recipe_from

    recipe = recipe_from(run.recipe, f"{run.path}/recipe.yaml")
    if data_path and (recipe.source == "drawn" or recipe.sources):
        why = "its pictures are drawn" if recipe.source == "drawn" else "it has several sources"
        raise InputError(f"--data_path {data_path}: the run takes no such folder, for {why}; write --data_path alone")
    if data_path is None and recipe.source != "drawn":
        return None
    recipe = replace(recipe, data_path=data_path or recipe.data_path)
    return curate(read_sources(recipe), recipe).splits["validation"]


def shipped_settings(run: Any) -> dict[str, Any] | None:
    """The recipe that the project ships under the name of the run's, resolved; None where there is none."""
    from pipeline.settings.files import RECIPES, load_yaml, recipe_from

    path = RECIPES / f"{run.evaluation['recipe']}.yaml"
    return recipe_from(load_yaml(path), str(path)).settings() if path.is_file() else None


def prove(run: Any, folder: Path, repo_id: str, commit: str) -> None:
    """A fresh process with an empty cache loads the release from the Hub and gives the run's own answers."""
    from hub.clients import clients
    from hub.clients.picture_kinds import picture_kinds
    from pipeline.training.prediction import probabilities_of_files

    size, name = run.recipe["image_size"], "pipeline()"
    with tempfile.TemporaryDirectory() as place:
        kinds = picture_kinds(Path(place) / "faces", drawn_faces(), (size, size))
        paths = [path for kind in kinds.values() for path in kind]
        expected = np.concatenate(list(probabilities_of_files(folder, kinds, size).values()))
        fresh = os.environ | {"HF_HUB_CACHE": f"{place}/cache"}
        answers = clients.ask(name, repo_id, paths, fresh, revision=commit, top_k=len(run.classes))
    given = np.array([[answer[c] for c in run.classes] for answer in answers])
    if (apart := np.abs(given - expected).max()) > clients.CLIENTS[name].tolerance:
        raise InputError(f"{repo_id} is published, but a probability is {apart:.2g} from the run's; look at it")
    print(f"read back: pipeline(model={json.dumps(repo_id)}) gives the run's own answers to {len(paths)} pictures")


def stage_space(run: Any, folder: Path, args: argparse.Namespace, revision: str) -> None:
    """The app as a Space that shows the model at `revision`, with the detector that is asked for, or the run's own."""
    from hub import privacy, space_folder
    from pipeline.data.face_crops import find_detector

    weights = find_detector(args.face_detector or run.recipe["face_detector"])
    space_folder.stage(folder, args.repo_id, revision, weights)
    privacy.refuse_private(folder, *(repo.partition("/")[0] for repo in (args.space, args.repo_id)))


def publish_space(api: Any, folder: Path, args: argparse.Namespace, exists: bool) -> str:
    """Send the Space, once the model is there that it shows, and give its address.

    A new Space of a private model is private too, lest it show to all what its owner keeps.
    """
    from hub import space_folder
    from hub.attempts import attempt
    from hub.upload import Release, publish

    try:
        private = attempt(args.repo_id, lambda: api.model_info(args.repo_id), print).private
        release = Release(
            args.space, private=args.private or (private and not exists), message=f"Show {args.repo_id}",
            repo_type="space", consists_of=space_folder.PUBLISHED,
        )  # fmt: skip
        published = publish(api, folder, release, exists, print)
    except InputError as error:
        told = f"{args.repo_id} is published, the Space {args.space} is not: {error}"
        raise InputError(f"{told}; the same command sends what is missing") from None
    print(f"sent to {args.space}: {published.files} files, {published.bytes / 1e6:.1f} MB")
    if private:
        print(f"{args.repo_id} is private: give the Space a secret HF_TOKEN that may read it, in its settings")
    return published.url


def _folder(text: str) -> Path:
    return Path(text).absolute()  # "." has no name


def parse(argv: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="push_to_hub.py",
        description="Publish a finished run on the Hub. Log in with `hf auth login`, or set HF_TOKEN.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=_folder, metavar="RUN", help="a finished run folder: an output_dir of train_hf.py")
    parser.add_argument("--repo_id", required=True, metavar="USER/NAME", help="the model repository; made if missing")
    parser.add_argument(
        "--tag", metavar="TAG", help="name this release, as in v1.0; a tag never moves to other content"
    )
    parser.add_argument("--revision", default="main", metavar="BRANCH", help="branch to publish to (default: main)")
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is new")
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead of a commit")
    parser.add_argument("--dry_run", action="store_true", help="stop after the checks and leave the folder to look at")
    parser.add_argument("--with_predictions", action="store_true", help="publish predictions.parquet too")
    parser.add_argument("--space", metavar="USER/NAME", help="publish the app too, as a Space that shows this release")
    parser.add_argument(
        "--face_detector", metavar="PATH",
        help="weights of YuNet for the Space: file, folder or Hub id (default: what the run's recipe names)",
    )  # fmt: skip
    parser.add_argument(
        "--data_path", nargs="?", const="", metavar="DIR",
        help="measure the ONNX files on the run's validation rows: from DIR, or from where its recipe says",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if args.create_pr and (args.tag or args.revision != "main"):
        raise InputError("--create_pr: a pull request has no tag and goes to main; tag it when it is merged")
    if args.create_pr and args.space:
        raise InputError("--create_pr: a Space shows what is published; publish it when the pull request is merged")
    if args.face_detector and not args.space:
        raise InputError("--face_detector is for a Space; name one with --space, or leave it out")
    return args


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
