"""Publish a finished run: stage it, check it, send it in one commit, tag it, read it back.

python push_to_hub.py runs/NAME --repo_id user/fer-vit-tiny --tag v1.0
python push_to_hub.py runs/NAME --repo_id user/fer-vit-tiny --space user/demo   # also a Space: a page that shows it
python push_to_hub.py runs/NAME --repo_id user/fer-vit-tiny --dry_run       # stops after the checks; look at the folder
python push_to_hub.py runs/NAME --repo_id user/fer-lora --adapter   # only the adapter of a LoRA run, for its base model
python push_to_hub.py curated --dataset user/faces                  # a folder of pipeline.curation, as a data set
python push_to_hub.py --help
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import end_in_one_line

if TYPE_CHECKING:
    from hub.options import Options


def main(argv: list[str]) -> None:
    """From a run folder to the Hub, step by step."""
    options = parse(argv)
    if options.dataset:
        from hub.dataset.release import publish_dataset

        publish_dataset(options)
        return
    if options.adapter:
        from hub.adapter import publish_adapter

        publish_adapter(options)
        return

    from huggingface_hub import HfApi

    from hub import proof, release, space_release, staging
    from hub.adjusted import adjusted, expected_shares
    from hub.health import check_health
    from hub.options import check_access, check_names
    from hub.run import load_run

    # Load
    check_names(options)
    run, api = load_run(options.run), HfApi()
    check_health(run, options)
    expected = expected_shares(run, options.class_shares, options.tau) if options.class_shares else None
    exists = check_access(api, options)
    with release.staging_place(run) as place:
        # Stage and check
        if expected is not None:
            run = adjusted(run, expected, options.tau, place)
        folders = release.stage(run, options, place)
        staging.check(folders, options)
        print(*map(staging.listing, folders), sep="\n\n")
        if options.dry_run:
            kept = release.keep(options.run, folders)
            print("", *kept, "nothing was sent; read the README.md there, then leave --dry_run out", sep="\n")
            return
        # Send and prove
        model, *space = folders
        published = release.send(api, run, model, options, exists.model)
        proof.prove(run, model, options.repo_id, published.commit)
        for folder in space:
            space_release.stage_space(run, folder, model, options, options.tag or published.commit)
            print(f"\n{space_release.send_space(api, folder, options, exists.space)}")
    print(f"\n{release.how_to_use(run, options, published.url)}")


def parse(argv: list[str]) -> "Options":
    """Read the command line.

    Raises:
        InputError: options that exclude each other.
    """
    parser = argparse.ArgumentParser(
        prog="push_to_hub.py",
        description="Publish a finished run on the Hub. Log in with `hf auth login`, or set HF_TOKEN.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("run", type=_folder, metavar="RUN", help="a finished run folder: an output_dir of train_hf.py; with "
           "--dataset a folder of python -m pipeline.curation")  # fmt: skip
    option("--repo_id", metavar="USER/NAME", help="the model repository; created if it does not exist")
    option("--dataset", metavar="USER/NAME", help="publish a curated folder as this data set: with pictures if every "
           "source allows it, otherwise labels, keys, votes, hashes and a script that rebuilds it")  # fmt: skip
    option("--adapter", action="store_true", help="publish the adapter of a run with --lora_rank, which people load on "
           "its base model, instead of the merged model")  # fmt: skip
    option("--licence", metavar="SPDX", help="for --dataset: you may publish the pictures of your own sources, under "
           "this licence, such as CC-BY-4.0")  # fmt: skip
    option("--tag", metavar="TAG", help="name of this release, such as v1.0; a tag never moves to other content")
    option("--revision", default="main", metavar="BRANCH", help="branch to publish to (default: main)")
    option("--private", action="store_true", help="make the repository private, if it is new")
    option("--create_pr", action="store_true", help="open a pull request instead of a commit")
    option("--dry_run", action="store_true", help="stop after the checks and keep the staged folder to look at")
    option("--with_predictions", action="store_true", help="publish predictions.parquet too")
    option("--public_name", action="append", default=[], metavar="NAME", help="a name of this user or host that may be "
           "published, because it is an ordinary word there")  # fmt: skip
    option("--space", metavar="USER/NAME", help="also publish the page, as a Space that shows this release")
    option("--space_kind", choices=("static", "docker"), help="static: the model answers in the visitor's browser, "
           "and no picture leaves it (default); docker: it answers on a machine of the Hub, with an API, for which the "
           "Hub asks a paid account")  # fmt: skip
    option("--browser_libraries", metavar="DIR", help="for a static Space, where npm cannot be used: the folder "
           "with the tarball of onnxruntime-web that npm packed elsewhere")  # fmt: skip
    option("--face_detector", metavar="PATH", help="weights of YuNet: file, folder or Hub id. The model's repository "
           "gets them and lines that crop a face (default: FER_FACE_DETECTOR, or none); so does the Space (default: "
           "those that the run's recipe names)")  # fmt: skip
    option("--new_version", metavar="USER/NAME", help="the card names this repository as the one that replaces it")
    option("--data_path", nargs="?", const="", metavar="DIR", help="measure the ONNX files on the run's validation "
           "rows: from DIR, or without a value from where its recipe says")  # fmt: skip
    option("--class_shares", metavar="SHARES", help="publish scores for pictures whose classes are as frequent as this "
           "says: uniform, or JSON with a share for each class (default: as trained)")  # fmt: skip
    option("--tau", type=float, default=1.0, metavar="TAU", help="how far scores go to --class_shares, above 0 and at "
           "most 1 (default 1)")  # fmt: skip
    option("--research_only_health_score", action="store_true", help="publish a model whose scores or classes are "
           "of health, such as PHQ-8 or depressed: only for research, as no medical device")  # fmt: skip
    words = parser.parse_args(argv)
    from hub.options import options_from

    return options_from(words)


def _folder(text: str) -> Path:
    return Path(text).absolute()  # "." has no name


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
