"""The steps of `push_to_hub.py --adapter`: the LoRA adapter of a run in a repository of its own, for its base model.

It is sent only if it answers as the run does on the base that the Hub has: an adapter fits one base, at one size.
"""

from pathlib import Path

from huggingface_hub import HfApi

from hub import attempts, proof, release, staging
from hub.health import check_health
from hub.options import Options, check_access, check_names
from hub.run import load_run
from hub.run_data import shipped_settings
from pipeline.errors import InputError
from pipeline.model_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, INDEX
from pipeline.run_folder import WEIGHTS, Run, read_json

OF_MODELS = ("space", "with_predictions", "face_detector", "data_path")
CLIENT = "peft"


def publish_adapter(options: Options) -> None:
    """Publish the adapter of `options.run` as `options.repo_id`.

    Raises:
        InputError: as the steps; nothing is sent then.
    """
    if wrong := [word for word in OF_MODELS if getattr(options, word) not in (None, False)]:
        raise InputError(f"--{wrong[0]} is for the whole model; leave it out with --adapter")
    check_names(options)
    run, api = load_run(options.run), HfApi()
    check_health(run, options)
    base = base_of(run)
    exists = check_access(api, options).model
    if exists and not options.dry_run:
        _refuse_model(api, options.repo_id)
    with release.staging_place(run) as place:
        folder = place / "staged-adapter"
        stage(run, folder, options, base)
        staging.check([folder], options)
        print(staging.listing(folder))
        if options.dry_run:
            kept = release.keep(run.path, [folder])
            print("", *kept, "nothing was sent; read the README.md there, then leave --dry_run out", sep="\n")
            return
        published = release.send(api, run, folder, options, exists)
        proof.prove(run, run.path, options.repo_id, published.commit, CLIENT)
    print(f"\n{release.how_to_use(run, options, published.url, CLIENT)}")


def base_of(run: Run) -> str:
    """The Hub id of the base model of a run's adapter.

    Raises:
        InputError: the run has no adapter, or its base model is not on the Hub.
    """
    if f"adapter/{ADAPTER_WEIGHTS}" not in run.environment["sha256"]:
        raise InputError(f"--adapter: {run.path} has no adapter/: it was trained without --lora_rank")
    base = read_json(run.path / "adapter" / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not base:
        raise InputError(
            f"--adapter: the base model of {run.path} has no name on the Hub, so nobody could load the adapter: train "
            "with --checkpoint USER/NAME, or leave --adapter out and publish the merged model"
        )
    return str(base)


def stage(run: Run, folder: Path, options: Options, base: str) -> None:
    """The adapter and its card in `folder`, after it answered as the run does.

    Raises:
        InputError: the base model cannot be loaded from the Hub, or the adapter answers otherwise on it.
    """
    from hub.card import card, metadata

    staging.stage_adapter(run, folder)
    apart, _ = proof.difference(run, run.path, CLIENT, folder.as_posix())
    if apart > proof.tolerance(CLIENT):
        raise InputError(
            f"nothing was sent: on {base} as the Hub has it, a probability differs from the run's by {apart:.2g}. An "
            "adapter fits only the weights and the image_size of its base model: leave --adapter out and publish the "
            "merged model"
        )
    release.add_example(run, folder)
    examples, shipped = card.example_scores(run, folder), shipped_settings(run)
    publication = metadata.Publication(
        options.repo_id, options.tag, examples=examples, shipped=shipped, new_version=options.new_version, base=base
    )
    (folder / "README.md").write_text(card.make_card(run, publication), encoding="utf-8")


def _refuse_model(api: HfApi, repo_id: str) -> None:
    """Beside a whole model an adapter would change what everybody loads from there."""
    files = attempts.attempt(f"files of {repo_id}", lambda: api.list_repo_files(repo_id), print)
    if found := {WEIGHTS, INDEX} & set(files):
        raise InputError(f"--adapter: {repo_id} holds a whole model ({min(found)}); choose another --repo_id")
