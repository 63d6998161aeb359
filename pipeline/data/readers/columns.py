"""A picture column and a label column (or FER+ votes) as the one table: of parquet files and of Hub data sets."""

from datasets import ClassLabel, Dataset, DatasetDict, Value

from pipeline.data.readers import ferplus_votes
from pipeline.data.readers.files import local_path
from pipeline.data.readers.loading import load, picture_column, picture_keys, pictures_of
from pipeline.data.readers.rows import class_labels, counted, refuse_empty
from pipeline.data.table import Reading, assemble
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

LABEL_COLUMNS = ("label", "labels", "emotion", "emotions", "expression", "expressions", "class")
PERSON_COLUMNS = ("person", "person_id")


def read(recipe: Recipe) -> Reading:
    """The source in `recipe.data_path`; ClassLabels and strings become classes by their names.

    A column `votes` makes it FER+, unless `label_column` names another column.

    Raises:
        InputError: nothing can be loaded, no column fits, or a label is unknown.
    """
    raw = load(recipe)
    first = next(iter(raw.values()))
    image = picture_column(first, recipe)
    pictures = {split: pictures_of(table, image) for split, table in raw.items()}
    keys = picture_keys(pictures)
    if recipe.label_column in (None, "votes") and "votes" in first.column_names:
        return ferplus_votes.read_votes(raw, pictures, keys, recipe)
    label = _label_column(first, recipe)
    person = next((name for name in PERSON_COLUMNS if name in first.column_names), None)
    local = local_path(recipe)
    name = local.resolve().stem if local.exists() else str(recipe.data_path)
    tables: dict[str, Dataset] = {}
    left_out: dict[str, dict[str, int]] = {}
    for split, table in raw.items():
        names = _label_names(table, label, recipe, split)
        labels, reasons = class_labels(names, recipe, f"data_path {recipe.data_path}, split {split}, column {label}")
        persons = [None if p is None else str(p) for p in table[person]] if person else [None] * len(table)
        targets = one_hot(labels, len(recipe.classes))
        tables[split] = assemble(pictures[split], labels, targets, keys[split], persons, name, recipe.classes)
        left_out[split] = counted(reasons)
    refuse_empty(tables, f"data_path {recipe.data_path}", left_out)
    layout = f"{'parquet' if local.exists() else 'Hub data set'} with the columns {image} and {label}"
    origin: Origin = "local" if local.exists() else "hub"
    source = Source(
        id=name,
        title=name,
        layout=layout,
        origin=origin,
        columns_not_read=tuple(c for c in first.column_names if c not in (image, label, person)),
        left_out=left_out,
    )
    return Reading((source,), DatasetDict(tables))


def _label_column(table: Dataset, recipe: Recipe) -> str:
    by_lower = {name.lower(): name for name in table.column_names}
    if recipe.label_column is not None:
        found = recipe.label_column if recipe.label_column in table.column_names else None
    else:
        found = next((by_lower[name] for name in LABEL_COLUMNS if name in by_lower), None)
    if found is None:
        missing = f"no column {recipe.label_column}" if recipe.label_column else "no label column is recognised"
        columns = ", ".join(table.column_names)
        raise InputError(f"data_path {recipe.data_path}: {missing} (columns: {columns}); name it with --label_column")
    return found


def _label_names(table: Dataset, column: str, recipe: Recipe, split: str) -> list[str | None]:
    """The labels of a column as names; None where a row has no label."""
    feature, values = table.features[column], table[column][:]
    if isinstance(feature, ClassLabel):
        return [None if v is None or v < 0 else feature.names[v] for v in values]
    kind = feature.dtype if isinstance(feature, Value) else type(feature).__name__
    if kind in ("string", "large_string"):
        return list(values)
    if not kind.startswith(("int", "uint")):
        raise InputError(
            f"data_path {recipe.data_path}: column {column} holds {kind}, not class names; see --label_column"
        )
    mapped = {name.strip() for name in recipe.class_map}
    for row, value in enumerate(values):
        if value is None or str(value) in mapped:
            continue
        if recipe.label_column is None:
            raise InputError(
                f"data_path {recipe.data_path}: column {column} holds bare numbers ({split} row {row}: {value}): name "
                f'them with --class_map \'{{"{value}": "..."}}\', or set --label_column {column} if they index classes'
            )
        if not 0 <= value < len(recipe.classes):
            raise InputError(
                f"data_path {recipe.data_path}: column {column}, {split} row {row}: {value} is not an index of the "
                f"{len(recipe.classes)} classes {', '.join(recipe.classes)}; name it with --class_map"
            )
    return [v if v is None else str(v) if str(v) in mapped else recipe.classes[v] for v in values]
