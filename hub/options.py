"""What a person asks `push_to_hub.py` for, and whether this account may do it on the Hub."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi

from hub import access, attempts, space_folder


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is published where: the options of `push_to_hub.py`, under the same names."""

    run: Path
    repo_id: str
    tag: str | None = None
    revision: str = "main"
    private: bool = False
    create_pr: bool = False
    dry_run: bool = False
    with_predictions: bool = False
    space: str | None = None
    face_detector: str | None = None
    new_version: str | None = None
    data_path: str | None = None


@dataclass(frozen=True)
class Exists:
    """Which of the two repositories are on the Hub already."""

    model: bool
    space: bool


def check_names(options: Options) -> None:
    """Refuse repository names that the Hub does not accept, before the run is read.

    Raises:
        InputError: as `hub.access.check_repo_id`.
    """
    access.check_repo_id(options.repo_id)
    if options.new_version:
        access.check_repo_id(options.new_version)
    if options.space:
        access.check_repo_id(options.space, "space")


def check_access(api: HfApi, options: Options) -> Exists:
    """Which repositories exist; the account may write to them. A dry run asks the Hub nothing.

    Raises:
        InputError: as `hub.access.check_access` and `hub.space_folder.check_space`.
    """
    attempts.set_timeouts()
    if options.dry_run:
        return Exists(model=True, space=True)
    model = access.check_access(api, options.repo_id, print, write=not options.create_pr)
    return Exists(model, options.space is not None and space_folder.check_space(api, options.space, print))
