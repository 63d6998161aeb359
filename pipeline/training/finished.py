"""A finished run and the data of today: the same command prints its table only while it is made of the same rows."""

from pathlib import Path

from pipeline.data.curation import curate_sources
from pipeline.errors import InputError
from pipeline.run_folder import ENVIRONMENT, read_json
from pipeline.settings.recipe import Recipe
from pipeline.training import machine
from pipeline.training.made_of import FILES, MADE_OF, changed_files, digests_of, hashes_here

CURE = "put the old one back, or choose another --output_dir to train with that of today"


def compare_with_today(path: Path, recipe: Recipe) -> None:
    """Compare the checkpoint that a finished run began with, and its rows, with those that `recipe` names today.

    Drawn faces follow from the settings and are not read again. A line says what is gone and so was not compared.

    Raises:
        InputError: weights, config, processor, pictures, labels or splits were exchanged since, or the data can no
            longer be curated.
    """
    environment = read_json(path / ENVIRONMENT)
    if recipe.checkpoint:
        _compare_checkpoint(path, recipe.checkpoint, environment.get(FILES))
    if not _reads_data(recipe):
        return
    if not environment.get(MADE_OF):
        machine.say("not compared: the run does not record its rows")
        return
    machine.say("reading data, to compare its rows with those of the run")
    try:
        rows = curate_sources(recipe, lambda line: None, look=False).rows
    except InputError as error:
        if missing := _missing(recipe):
            machine.say(f"not compared: {missing} is not a folder or file here, and cannot be read")
            return
        raise InputError(f"{path} holds a finished run, and its data is not what it was ({error}): {CURE}") from None
    if changed := _changed(environment[MADE_OF], digests_of(rows)):
        raise InputError(f"{path} holds a finished run of other data ({changed}): {CURE}")


def _compare_checkpoint(path: Path, checkpoint: str, then: dict[str, str] | None) -> None:
    now = hashes_here(checkpoint)
    if then is None:
        machine.say("not compared: the run does not record the files of the checkpoint that it began with")
    elif now is None:
        machine.say(f"not compared: checkpoint {checkpoint} is not here any more")
    elif changed := changed_files(then, now):
        raise InputError(
            f"{path} holds a finished run of other files of checkpoint {checkpoint} ({changed} changed since): {CURE}"
        )


def _reads_data(recipe: Recipe) -> bool:
    return any(source.get("source", recipe.source) != "drawn" for source in recipe.sources or [{}])


def _missing(recipe: Recipe) -> str | None:
    """A path of the recipe that is not here; it may be a data set of the Hub."""
    places = [recipe.data_path, *(source.get("data_path") for source in recipe.sources)]
    return next((str(place) for place in places if place is not None and not Path(place).exists()), None)


def _changed(then: dict[str, dict[str, object]], now: dict[str, dict[str, object]]) -> str:
    """What is different about the splits, in words; empty if nothing."""
    said = []
    for split in dict.fromkeys([*then, *now]):
        before, after = then.get(split, {"rows": 0}), now.get(split, {"rows": 0})
        if before["rows"] != after["rows"]:
            said.append(f"{split} had {before['rows']:,} rows and has {after['rows']:,}")
        elif before != after:
            said.append(f"rows of {split} changed")
    return ", ".join(said)
