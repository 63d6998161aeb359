"""What a person asks `push_to_hub.py` for, and whether this account may do it on the Hub."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi

from hub import access, attempts, space_folder
from hub.ref_names import MAIN, check_name, refuse_clash
from pipeline.errors import InputError
from pipeline.hub_client import limit_requests

SpaceKind = Literal["static", "docker"]
"""`static`: the model answers in the browser of a visitor. `docker`: it answers on a machine of the Hub."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is published where: the options of `push_to_hub.py`, under the same names."""

    run: Path
    repo_id: str = ""
    dataset: str | None = None
    adapter: bool = False
    licence: str | None = None
    tag: str | None = None
    revision: str = MAIN
    private: bool = False
    create_pr: bool = False
    dry_run: bool = False
    with_predictions: bool = False
    public_name: Sequence[str] = ()
    space: str | None = None
    space_kind: SpaceKind = "static"
    browser_libraries: str | None = None
    face_detector: str | None = None
    new_version: str | None = None
    data_path: str | None = None
    class_shares: str | None = None
    tau: float = 1.0
    research_only_health_score: bool = False


@dataclass(frozen=True)
class Exists:
    """Which of the two repositories are on the Hub already."""

    model: bool
    space: bool


def options_from(words: Namespace) -> Options:
    """The options of a command line.

    Raises:
        InputError: options that exclude each other.
    """
    if bool(words.repo_id) == bool(words.dataset):
        raise InputError("name where to publish: --repo_id for a run, or --dataset for a curated folder")
    if words.adapter and words.dataset:
        raise InputError("--adapter is for a run; leave it out with --dataset")
    if words.licence and not words.dataset:
        raise InputError("--licence is for --dataset; a run's licence follows from its data")
    if words.research_only_health_score and words.dataset:
        raise InputError("--research_only_health_score is for models; leave it out with --dataset")
    if words.class_shares and words.dataset:
        raise InputError("--class_shares changes the scores of a model; leave it out with --dataset")
    if words.tau != 1 and not words.class_shares:
        raise InputError("--tau says how far scores go to --class_shares: give both, or neither")
    if words.create_pr and (words.tag or words.revision != "main"):
        raise InputError("--create_pr: a pull request has no tag and goes to main; tag it after it is merged")
    if words.space is None and (words.space_kind or words.browser_libraries):
        raise InputError("--space_kind and --browser_libraries are for --space: name the Space too")
    if words.space_kind == "docker" and words.browser_libraries:
        raise InputError("--browser_libraries is for a static Space; leave it or --space_kind docker out")
    if words.create_pr and words.space:
        raise InputError("--create_pr: a Space shows what is published; publish it after the pull request is merged")
    return Options(**vars(words) | {"space_kind": words.space_kind or "static"})


def check_names(options: Options) -> None:
    """Refuse names of repositories, tags and branches that the Hub or git do not accept, before the run is read.

    Raises:
        InputError: as `hub.access.check_repo_id`, `hub.ref_names.check_name` and `refuse_clash`.
    """
    access.check_repo_id(options.dataset or options.repo_id, "dataset" if options.dataset else "model")
    if options.new_version:
        access.check_repo_id(options.new_version)
    if options.space:
        access.check_repo_id(options.space, "space")
    _check_refs(options, [MAIN], [])


def check_access(api: HfApi, options: Options) -> Exists:
    """Which repositories exist; the account may write to them. A dry run asks the Hub nothing.

    Raises:
        InputError: as `hub.access.check_access`, `hub.ref_names.refuse_clash` and `hub.space_folder.check_space`.
    """
    if options.dry_run:
        return Exists(model=True, space=True)
    limit_requests()
    model = access.check_access(api, options.repo_id, print, write=not options.create_pr)
    if model:
        check_existing_refs(api, options, options.repo_id, "model")
    space = options.space is not None and space_folder.check_space(api, options.space, print)
    if model and space and options.space_kind == "static":
        _refuse_to_show_a_private_model(api, options)
    return Exists(model, space)


def _refuse_to_show_a_private_model(api: HfApi, options: Options) -> None:
    """The weights of a static Space are files that every visitor gets."""
    model = attempts.attempt(options.repo_id, lambda: api.model_info(options.repo_id), print)
    space = attempts.attempt(f"{options.space}", lambda: api.space_info(str(options.space)), print)
    if model.private and not space.private:
        raise InputError(
            f"--space {options.space} is public, and would give everybody the weights of {options.repo_id}, which is "
            "private: make the Space private in its settings, or choose --space_kind docker"
        )


def check_existing_refs(api: HfApi, options: Options, repo_id: str, repo_type: str) -> None:
    """Check the tag and the branch of a release beside those that the repository has.

    Raises:
        InputError: as `hub.ref_names.refuse_clash`.
    """
    refs = attempts.attempt(f"tags of {repo_id}", lambda: api.list_repo_refs(repo_id, repo_type=repo_type), print)
    _check_refs(options, [branch.name for branch in refs.branches], [tag.name for tag in refs.tags])


def _check_refs(options: Options, branches: list[str], tags: list[str]) -> None:
    """Check the tag and the branch of a release beside those that exist."""
    check_name("--revision", options.revision)
    refuse_clash("--revision", options.revision, branches, tags, "tag")
    if options.tag is not None:
        check_name("--tag", options.tag)
        refuse_clash("--tag", options.tag, tags, [*branches, options.revision], "branch")
