"""The steps of `push_to_hub.py --dataset`: read the curated folder, stage it, search it, send it in one commit."""

from pathlib import Path

from huggingface_hub import HfApi

from hub import access, attempts, privacy, staging, upload
from hub.dataset import stage
from hub.dataset.curated import Curated, read_curated
from hub.options import Options, check_existing_refs, check_names
from hub.release import new_place
from pipeline.errors import InputError
from pipeline.hub_client import limit_requests
from pipeline.run_folder import CURATION, read_json

OF_RUNS = ("space", "with_predictions", "face_detector", "data_path", "new_version")
HARMLESS = {"README.md", ".gitattributes", "LICENSE"}


def publish_dataset(options: Options) -> None:
    """Publish the curated folder `options.run` as `options.dataset`.

    Raises:
        InputError: as the steps; nothing is sent then.
    """
    name = str(options.dataset)
    if wrong := [word for word in OF_RUNS if getattr(options, word) not in (None, False)]:
        raise InputError(f"--{wrong[0]} is for a run; leave it out with --dataset")
    check_names(options)
    curated = read_curated(options.run)
    pixels = stage.decide_pixels(curated, options.licence)
    print(pixels.line)
    api = HfApi()
    exists = _may_write(api, options, curated)
    with new_place(options.run) as place:
        folder = place / "staged-dataset"
        stage.stage(curated, folder, pixels, name)
        privacy.refuse_private(folder, name.partition("/")[0], *options.public_name)
        print(staging.listing(folder))
        print("the keys are names in the source; look whether one names a person")
        if options.dry_run:
            kept = staging.keep(folder, _kept(options.run), stage.PUBLISHED)
            print("", kept, "nothing was sent; read the README.md there, then leave --dry_run out", sep="\n")
            return
        message = f"Publish {options.run.name}" + (f" as {options.tag}" if options.tag else "")
        target = upload.Release(
            name, options.tag, options.revision, options.private, options.create_pr, message, "dataset", stage.PUBLISHED
        )  # fmt: skip
        published = upload.publish(api, folder, target, exists, print)
    print(f"sent: {published.files} files, {published.bytes / 1e6:.1f} MB")
    print(f"{published.url}\n\ntrain on it with --data_path {name}")


def _kept(run: Path) -> Path:
    return run.with_name(f"{run.name}-staged-dataset")


def _refuse_other_sources(api: HfApi, name: str, curated: Curated) -> None:
    """Another data set of this project may have the name: one release replaces another only if they share a source."""
    file = attempts.attempt(
        f"{CURATION} of {name}", lambda: api.hf_hub_download(name, CURATION, repo_type="dataset"), print
    )
    there = set(read_json(Path(file)).get("sources", {}))
    own = {source.id for source in curated.sources}
    if not there & own:
        raise InputError(
            f"--dataset {name} holds a data set of {', '.join(sorted(there)) or 'no source'}, and {curated.path.name} "
            f"is one of {', '.join(sorted(own))}; choose a new name"
        )


def _may_write(api: HfApi, options: Options, curated: Curated) -> bool:
    """Whether the data set exists on the Hub; if so, it is one of this project. A dry run asks the Hub nothing.

    Raises:
        InputError: as `access.check_access`; or the repository holds other data.
    """
    if options.dry_run:
        return True
    limit_requests()
    name = str(options.dataset)
    exists = access.check_access(api, name, print, write=not options.create_pr, repo_type="dataset")
    if exists:
        files = attempts.attempt(f"files of {name}", lambda: api.list_repo_files(name, repo_type="dataset"), print)
        if CURATION not in files and (others := sorted(set(files) - HARMLESS)):
            raise InputError(f"--dataset {name} holds another data set ({others[0]}); choose a new name")
        if CURATION in files:
            _refuse_other_sources(api, name, curated)
        check_existing_refs(api, options, name, "dataset")
    return exists
