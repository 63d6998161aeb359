"""A model of a person's health is published only by somebody who says that it is for research."""

from collections.abc import Mapping
from typing import Any

from hub.options import Options
from pipeline.clinical import OPTION, health_names, is_repository_of_health, last_part
from pipeline.errors import InputError
from pipeline.run_folder import Run

DEVICE = (
    "Offered for diagnosis, screening or treatment it is a medical device, which needs a conformity assessment (in the "
    "EU: MDR, Regulation (EU) 2017/745). Only if it is for research, and ethics and the terms of the data allow it: "
    f"add {OPTION}"
)


def check_health(run: Run, options: Options) -> None:
    """Ask for the option where a run estimates health, or is published under a name of health, and only there.

    Raises:
        InputError: the option is missing, or says what the run is not.
    """
    names = health_names(run.recipe)
    repositories = [
        name for name in (options.repo_id, options.space) if name and is_repository_of_health(last_part(name))
    ]
    if options.research_only_health_score:
        if not names and not repositories:
            raise InputError(f"{OPTION} is for scores and classes of health, and {run.path} has none: leave it out")
    elif names:
        raise InputError(
            f"{run.path} estimates {', '.join(names)}, {_kind(run.recipe)} of health, from a face. {DEVICE}"
        )
    elif repositories:
        raise InputError(
            f"{repositories[0]} is a name of health, and {run.path} answers with {', '.join(run.outputs[:7])}: choose "
            f"another name. A model that is published under such a name is read as one of health. {DEVICE}"
        )


def refuse_at_the_end(settings: Mapping[str, Any], repo_id: str) -> None:
    """Before training: `--publish` cannot say what publishing a model of health asks for.

    Raises:
        InputError: a score or a class of the recipe, or the name of the repository, is of health.
    """
    names = health_names(settings)
    if names or is_repository_of_health(last_part(repo_id)):
        what = f"{', '.join(names)} is {_kind(settings)} of health" if names else f"{repo_id} is a name of health"
        raise InputError(
            f"--publish: {what}: train without --publish, look at the figures, and see docs/publishing.md before you "
            "publish"
        )


def _kind(settings: Mapping[str, Any]) -> str:
    return "a score" if settings.get("scores") else "a class"
