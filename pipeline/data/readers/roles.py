"""What the columns of a table hold, by one naming for all readers: picture, label, split, person, shares of classes."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pipeline.data.readers.codes import is_number
from pipeline.data.readers.tables import Column
from pipeline.data.table import split_of
from pipeline.errors import InputError
from pipeline.expressions import is_expression, meaning
from pipeline.settings.recipe import Recipe

# As `plain_column` writes them.
PICTURE = (
    *("image", "images", "img", "imgs", "file", "files", "filename", "filenames", "filepath", "filepaths", "fname"),
    *("path", "paths", "imagepath", "imgpath", "imagename", "imgname", "imagefile", "imgfile", "imagefilename"),
    *(
        "imagefilepath",
        "imagepaths",
        "picture",
        "pictures",
        "picturename",
        "picturepath",
        "photo",
        "pic",
        "pics",
        "pth",
    ),
    *("face", "facepath", "relpath", "relativepath", "fullpath", "jpg", "png"),
)
PICTURE_ID = ("id", "imageid", "imgid", "name", "uid")  # where no other column names the pictures, as in csv of Kaggle
LABEL = (
    *("label", "labels", "emotion", "emotions", "expression", "expressions", "class", "classes", "classname"),
    *("labelname", "emotionname", "expressionname", "classlabel", "emotionlabel", "expressionlabel", "labeltext"),
    *("target", "targets", "category", "categories", "facialexpression", "facialemotion", "groundtruth", "gt", "y"),
    *("classid", "labelid", "emotionid", "expressionid", "categoryid", "emotioncode", "labelcode", "classindex"),
    *("labelidx", "classidx", "emotionclass", "expressionclass", "affect", "sentiment", "cls", "lbl"),
)
SPLIT = ("split", "splits", "usage", "set", "subset", "partition", "phase", "datasplit", "datasetsplit", "splitname")
FOLD = ("fold", "folds", "part", "dataset", "type", "purpose", "stage", "mode")  # where their values name one split
MOST_SPELLINGS = 20  # of the names of splits in a column
PERSON = (
    *("person", "persons", "personid", "personname", "subject", "subjects", "subjectid", "subjectname", "subjid"),
    *("subj", "identity", "identityid", "identities", "idperson", "actor", "actorid", "actorname", "participant"),
    *("participantid", "individual", "individualid", "celebrity", "userid", "speaker", "speakerid", "patient"),
    *("patientid", "pid", "sid", "idsubject", "volunteer", "volunteerid", "peopleid"),
)
NUMBERED_FOLDS = re.compile(r"(cv|k|cross|crossval|validation)?folds?(id|no|nr|number|index|idx)?|cv|cvsplit|cvset")
FLAG = re.compile(r"(?:is|in|for|use|used)*(.+?)(?:flag|set|split|mask)?")  # `is_test`, `inTrain`, `test_flag`
PREDICTED = {"pred", "preds", "predicted", "prediction", "predictions"}
YES_OR_NO = {"0", "1", "true", "false", "yes", "no", "t", "f", "y", "n"}
IGNORE = "none"  # the value of split_column and person_column that reads none


class Roles(NamedTuple):
    """The names of the columns that are read, None where there is none.

    `shares` are columns that hold a share or a count for a class, `scores` those of the setting `scores`, in its order;
    `notes` say what was chosen among several columns.
    """

    picture: str | None
    label: str | None
    split: str | None
    person: str | None
    shares: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()

    @property
    def labelled(self) -> tuple[str, ...]:
        """The columns that say what a picture shows; empty where there is none."""
        return (self.label,) if self.label else self.shares or self.scores

    @property
    def read(self) -> set[str]:
        """All columns that are read."""
        return {name for name in (self.picture, self.split, self.person, *self.labelled) if name}


def plain_column(name: str) -> str:
    """The name of a column for comparison: `Image name`, `image_name` and `imageName` are one."""
    return re.sub(r"[\W_]+", "", name.casefold())


def find_roles(columns: Mapping[str, Column], recipe: Recipe, place: str, pictures: Sequence[str] = ()) -> Roles:
    """The roles of `columns`, name to cells; `pictures` are columns that hold pictures themselves.

    Raises:
        InputError: two columns fit one role, or a setting names a missing column; the message names the setting.
    """
    picture = _picture(columns, recipe, place, pictures)
    if recipe.scores:
        return Roles(picture, None, *split_and_person(columns, recipe, place), scores=_scores(columns, recipe, place))
    label, notes = _label(columns, recipe, place)
    split, person = split_and_person(columns, recipe, place)
    shares = () if label else _shares(columns)
    return Roles(picture, label, split, person, shares, notes)


def _scores(columns: Mapping[str, Column], recipe: Recipe, place: str) -> tuple[str, ...]:
    """The column of each score, by its name; empty where the table has none of them."""
    folded = {name.casefold(): name for name in columns}
    found = [name if name in columns else folded.get(name.casefold()) for name in recipe.scores]
    missing = [name for name, column in zip(recipe.scores, found, strict=True) if column is None]
    if missing and len(missing) < len(found):
        raise InputError(
            f"{place}: no column {', '.join(missing)} (columns: {', '.join(columns)}); scores names the columns that "
            "hold the numbers"
        )
    return tuple(column for column in found if column)


def split_and_person(columns: Mapping[str, Column], recipe: Recipe, place: str) -> tuple[str | None, str | None]:
    """The columns of the split and of the person, None where there is none.

    Raises:
        InputError: as `find_roles`.
    """
    splits = _named(columns, SPLIT, recipe.split_column, "split", place) or _folds(columns, recipe)
    if not splits and recipe.split_column is None:
        _refuse_flags(columns, place)
    persons = _named(columns, PERSON, recipe.person_column, "person", place)
    return _one("split", splits, place), _one("person", persons, place)


def _refuse_flags(columns: Mapping[str, Column], place: str) -> None:
    """Stop at columns such as `is_test` or `fold`: they hold the data's own split, in a form that is not read."""
    flags = [name for name, cells in columns.items() if _is_flag(name, cells) or _is_fold(name, cells)]
    if flags:
        raise InputError(
            f"{place}: {' and '.join(flags)} may say which split a row belongs to: write one column with the names "
            "train, validation and test instead, or add --split_column none if they say something else"
        )


def _named(columns: Mapping[str, Column], usual: Sequence[str], given: str | None, role: str, place: str) -> list[str]:
    """The columns with a usual name, or the one that a setting names."""
    if given == IGNORE and role in ("split", "person"):
        return []
    if given is not None:
        found = [name for name in columns if name == given] or [n for n in columns if n.lower() == given.lower()]
        if not found:
            there = ", ".join(columns)
            raise InputError(f"{place}: no column {given} (columns: {there}); name one of them with --{role}_column")
        return found[:1]
    inside = [name for name in columns if "." in name and plain_column(name.rpartition(".")[2]) in usual]
    return [name for name in columns if plain_column(name) in usual] or inside


def _one(role: str, found: Sequence[str], place: str) -> str | None:
    if len(found) > 1:
        raise InputError(
            f"{place}: the columns {' and '.join(found)} may both be the {role}; name one with --{role}_column"
        )
    return found[0] if found else None


def _picture(columns: Mapping[str, Column], recipe: Recipe, place: str, pictures: Sequence[str]) -> str | None:
    if recipe.image_column is not None and pictures:
        return recipe.image_column if recipe.image_column in pictures else None
    if pictures:
        return pictures[0]
    found = _named(columns, PICTURE, recipe.image_column, "image", place)
    found = found or [name for name in columns if plain_column(name) in PICTURE_ID]
    if len(found) > 1:  # `id,filename`, or a url beside the path
        found = [name for name in found if any(cell and "." in cell for cell in columns[name][:20])] or found
    if len(found) > 1:
        raise InputError(
            f"{place}: the columns {' and '.join(found)} may both name the picture; name one with --image_column"
        )
    return found[0] if found else _unnamed(columns, _all_pictures)


def _unnamed(columns: Mapping[str, Column], holds: Callable[[Column], bool]) -> str | None:
    """In a table without a header, the one column whose cells say what it is."""
    if not all(re.fullmatch(r"column \d+", name) for name in columns):
        return None
    found = [name for name, cells in columns.items() if holds(cells)]
    return found[0] if len(found) == 1 else None


def _all_pictures(cells: Column) -> bool:
    return any(cell and re.search(r"\.\w{2,4}$", cell) for cell in cells[:20])


def _label(columns: Mapping[str, Column], recipe: Recipe, place: str) -> tuple[str | None, tuple[str, ...]]:
    found = _named(columns, LABEL, recipe.label_column, "label", place)
    if not found:
        return _label_without_header(columns), ()
    if len(found) == 1 or recipe.label_column is not None:
        return found[0], ()
    words = [name for name in found if not _numeric(columns[name])]
    numbers = [name for name in found if _numeric(columns[name])]
    if len(words) != 1:
        raise InputError(
            f"{place}: the columns {' and '.join(found)} may both be the label; name one with --label_column"
        )
    for number in numbers:
        _refuse_disagreement(columns, words[0], number, place)
    beside = ", ".join(numbers)
    return words[0], (f"labels are the names in {words[0]}, not the numbers in {beside} beside them",)


def _label_without_header(columns: Mapping[str, Column]) -> str | None:
    """The label in a table without a header: the other column of two, or the one whose cells are all expressions."""
    picture = _unnamed(columns, _all_pictures)
    if picture is None:
        return None
    others = [name for name in columns if name != picture]
    words = [n for n in others if columns[n] and all(cell and is_expression(cell) for cell in columns[n])]
    if len(words) == 1:
        return words[0]
    return others[0] if len(others) == 1 else None


def _numeric(cells: Column) -> bool:
    return any(cells) and all(cell is None or is_number(cell) for cell in cells)


def _refuse_disagreement(columns: Mapping[str, Column], words: str, numbers: str, place: str) -> None:
    """A number beside a name must always stand for the same name."""
    seen: dict[str, str] = {}
    for word, number in zip(columns[words], columns[numbers], strict=True):
        if word is None or number is None:
            continue
        if meaning(seen.setdefault(number, word)) != meaning(word):
            raise InputError(
                f"{place}: {numbers} {number} stands beside {seen[number]!r} and {word!r} in {words}, so the two "
                "columns disagree; name the right one with --label_column"
            )


def _folds(columns: Mapping[str, Column], recipe: Recipe) -> list[str]:
    """Columns of any name whose cells are all names of splits: of several splits, or of one where the name fits."""
    return [name for name, cells in columns.items() if recipe.split_column is None and _holds_splits(name, cells)]


def _holds_splits(name: str, cells: Column) -> bool:
    spelled = {cell for cell in set(cells) if cell}
    if not spelled or len(spelled) > MOST_SPELLINGS:
        return False
    splits = {split_of(cell) for cell in spelled}
    return None not in splits and (len(splits) > 1 or plain_column(name) in FOLD)


def _is_flag(name: str, cells: Column) -> bool:
    """Whether a column such as `is_test` says yes or no of a split."""
    said = FLAG.fullmatch(plain_column(name))
    word = said[1] if said else ""
    named = split_of(word) if word != "valid" else None  # which rather says that a row may be used
    return bool(named) and _is_yes_or_no(cells)


def _is_fold(name: str, cells: Column) -> bool:
    """Whether a column such as `fold` numbers parts of the data for cross-validation."""
    return bool(NUMBERED_FOLDS.fullmatch(plain_column(name))) and len(set(cells)) > 1 and _numeric(cells)


def _shares(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Columns that are called as expressions and hold numbers: shares, probabilities or counts of votes."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, cells in columns.items():
        if (parts := share_parts(name)) and (_numeric(cells) or _is_yes_or_no(cells)):
            groups.setdefault((parts[0], parts[2]), []).append(name)
    found = max(groups.values(), key=len, default=[])
    words = {meaning(parts[1]) for name in found if (parts := share_parts(name))}
    return tuple(found) if len(found) >= 2 and len(words) == len(found) else ()


def share_parts(column: str) -> tuple[str, str, str] | None:
    """What stands before an expression in the name of a column, the expression, and what follows; None without one.

    `emotion_happy`, `prob.happy` and `happy (%)` are columns of happiness; `pred_happy` is what a model says.
    """
    if is_expression(column):
        return "", column, ""
    words = re.split(r"([\W_]+)", column)
    found = [i for i, word in enumerate(words) if word and is_expression(word)]
    if len(found) != 1 or {word.casefold() for word in words} & PREDICTED:
        return None
    at = found[0]
    return "".join(words[:at]), words[at], "".join(words[at + 1 :])


def _is_yes_or_no(cells: Column) -> bool:
    return any(cells) and {cell.casefold() for cell in set(cells) if cell} <= YES_OR_NO
