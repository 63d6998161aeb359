"""Scores of a person's health are published only by somebody who says that they are for research."""

from collections.abc import Mapping
from typing import Any

from hub.options import Options
from pipeline.clinical import OPTION, health_scores
from pipeline.errors import InputError
from pipeline.run_folder import Run


def check_health(run: Run, options: Options) -> None:
    """Ask for the option where a run estimates health, and only there.

    Raises:
        InputError: the option is missing, or says what the run is not.
    """
    names = health_scores(run.recipe)
    if names and not options.research_only_health_score:
        raise InputError(
            f"{run.path} estimates {', '.join(names)}, a score of health, from a face. Offered for diagnosis, "
            "screening or treatment it is a medical device, which needs a conformity assessment (in the EU: MDR, "
            "Regulation (EU) 2017/745). Only if it is for research, and ethics and the terms of the data allow it: add "
            f"{OPTION}"
        )
    if options.research_only_health_score and not names:
        raise InputError(f"{OPTION} is for scores of health, and {run.path} has none: leave it out")


def refuse_at_the_end(settings: Mapping[str, Any]) -> None:
    """Before training: `--publish` cannot say what publishing a score of health asks for.

    Raises:
        InputError: a score of the recipe is of health.
    """
    if names := health_scores(settings):
        raise InputError(
            f"--publish: {', '.join(names)} is a score of health: train without --publish, look at the figures, and "
            "see docs/publishing.md before you publish"
        )
