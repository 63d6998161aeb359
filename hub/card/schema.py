"""What the card, its front matter and the notebook read of a run's files: each field, and what it may hold.

Text that the template escapes may be anything. Text that stands as it is, in code, in an address or in a sentence, is a
`Word` or a `Phrase`, which hold nothing that Markdown, YAML, HTML or a shell reads.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Word = Annotated[str, StringConstraints(pattern=r"^\w[\w.+-]{0,99}\Z", strict=True)]
Phrase = Annotated[str, StringConstraints(pattern=r"^[\w.,:;()/%+ '-]{1,400}\Z", strict=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[\w][\w.+ -]{0,199}\Z", strict=True)]
Text = Annotated[str, Field(strict=True, max_length=10_000)]
Code = Annotated[str, StringConstraints(pattern=r"^(?!.*```)[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z", strict=True)]
Count = Annotated[int, Field(strict=True, ge=0, le=10**15)]
Number = Annotated[float, Field(strict=True, ge=0, le=1e15, allow_inf_nan=False)]
Score = Annotated[float, Field(strict=True, ge=-1e7, le=1e7, allow_inf_nan=False)]
Setting = Code | bool | Annotated[float, Field(ge=-1e20, le=1e20, allow_inf_nan=False)] | None
Counts = dict[Word, dict[Text, Count]]


class _Fields(BaseModel):
    """Fields that are read; others are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True, regex_engine="python-re")


class _ClassRow(_Fields):
    support: Count
    precision: dict[str, Any]
    recall: dict[str, Any]
    f1: dict[str, Any]


class _Rows(_Fields):
    split: Literal["test", "validation"]
    rows: Phrase
    n: Annotated[Count, Field(ge=1)]


class _RowsOfClasses(_Rows):
    per_class: dict[Text, _ClassRow]
    confusion_matrix: list[list[Count]]
    accuracy: dict[str, Any]


class _SourceOfClasses(_RowsOfClasses):
    rows: Text  # with the name of the source


class _ScoreRow(_Fields):
    constant_predictions: Annotated[bool, Field(strict=True)]


class _Screening(_Fields):
    cut: Score
    at_or_above: Count
    below: Count
    found: dict[Literal["this model", "constant", "linear on pixels"], dict[Word, dict[str, Any]]] = Field(min_length=1)


class _RowsOfScores(_Rows):
    pictures: Annotated[Count, Field(ge=1)]
    persons: Annotated[Count, Field(ge=1)] | None
    resampled: Literal["persons", "pictures"]
    per_score: dict[Text, _ScoreRow]
    baselines: dict[Literal["constant", "linear on pixels"], dict[str, Any]] = Field(min_length=1)
    screening: _Screening | None = None


class _SourceOfScores(_RowsOfScores):
    rows: Text  # with the name of the source


class _Metric(_Fields):
    title: Phrase
    meaning: Phrase
    hub_id: Word
    greater_is_better: bool
    table: Literal["interval", "value"] | None = None


class _Evaluation(_Fields):
    recipe: Name
    interval: Annotated[float, Field(strict=True, gt=0, lt=1)]
    resamples: Count
    metrics: dict[Word, _Metric] = {}
    flip_average: dict[Word, dict[str, Any]] = {}


class _Calibration(_Fields):
    rows: Count
    targets: Word
    temperature: float | None = None  # `checked` bounds it, and the next two
    factors: list[float] | None = None
    summands: list[float] | None = None
    skipped: Text = ""

    @model_validator(mode="after")
    def _says_what_was_done(self) -> Self:
        done = [self.temperature is not None, self.factors is not None, bool(self.skipped)]
        if sum(done) != 1 or (self.factors is None) != (self.summands is None):
            raise ValueError("neither a temperature, nor factors with summands, nor why there are none")
        return self


class _Shares(_Fields):
    expected: dict[Text, Number]
    assumed: dict[Text, Number]
    tau: Number


class EvaluationOfClasses(_Evaluation):
    """Of evaluation.json; a run has at least one row set."""

    classes: list[Text] = Field(min_length=2)
    official: _RowsOfClasses | None = None
    clean: _RowsOfClasses | None = None
    clean_near: _RowsOfClasses | None = None
    validation: _RowsOfClasses | None = None
    per_source: dict[Text, dict[Word, _SourceOfClasses]] = {}
    calibration: _Calibration | None = None
    class_shares: _Shares | None = None


class _Facts(_Fields):
    low: Score
    mean: Score
    high: Score
    sd: Score


class EvaluationOfScores(_Evaluation):
    """Of evaluation.json of a run with scores."""

    scores: dict[Text, _Facts] = Field(min_length=1)
    score_of: Literal["picture", "person"]
    official: _RowsOfScores | None = None
    clean: _RowsOfScores | None = None
    clean_near: _RowsOfScores | None = None
    validation: _RowsOfScores | None = None
    per_source: dict[Text, dict[Word, _SourceOfScores]] = {}


EVALUATIONS: dict[str, type[_Evaluation]] = {"classification": EvaluationOfClasses, "regression": EvaluationOfScores}
"""By the task that evaluation.json names."""


class _Memory(_Fields):
    resident: Number | None
    device: Number | None


class Environment(_Fields):
    """Of environment.json."""

    wall_seconds: Number
    train_seconds: Number
    pictures_per_second: Number
    device: Text
    processes: Count
    processor: Text
    cores: Count
    system: Text
    precision: Annotated[str, StringConstraints(pattern=r"^[a-z]+[0-9]+\Z")]
    peak_memory_gib: _Memory
    python: Annotated[str, StringConstraints(pattern=r"^[0-9][\w.+-]{0,30}\Z")]
    packages: dict[Text, Text]
    git_revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}(-dirty)?\Z")] | None
    resumed_from: list[Count]
    sha256: dict[Text, Text]
    checkpoint_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\Z")] | None = None
    layer_decay: Number | None = None
    rows_per_step: Count | None = None


class _Splits(_Fields):
    official: list[Word]
    made: list[Word]
    seed: Count | None = None


class _Unreadable(_Fields):
    count: Count


class _Faces(_Fields):
    no_face: _Unreadable
    several_faces: Count


class _Source(_Fields):
    layout: Text
    terms: Text
    splits: _Splits
    unreadable: _Unreadable
    id: Text = ""
    title: Text = ""
    licence: Text = ""
    citation: Text | None = None
    origin: Literal["drawn", "local", "hub"] | None = None
    datasets: list[Text] = []
    label_rule: Word | None = None
    faces: _Faces | None = None
    left_out: dict[Word, dict[Text, Count]] = {}


class _Leaks(_Fields):
    rule: Word
    found: dict[Phrase, dict[Word, Count | None]] = Field(min_length=1)
    two_labels: dict[Word, Count]
    dropped_from_train: Count = 0


class Curation(_Fields):
    """Of curation.json."""

    sources: dict[Text, _Source] = Field(min_length=1)
    rows: Counts
    rows_used: Counts
    leaks: _Leaks
    copies: dict[str, Any]
    persons_shared: Any


class Config(_Fields):
    """Of config.json; a vision transformer says its sizes."""

    model_type: Word
    num_hidden_layers: Count | None = None
    hidden_size: Count | None = None
    patch_size: Count | None = None
    image_size: Count | None = None
    architecture: Word | None = None
    provenance: dict[Text, Text] = {}

    @model_validator(mode="after")
    def _says_its_sizes(self) -> Self:
        sizes = (self.num_hidden_layers, self.hidden_size, self.patch_size, self.image_size)
        if self.model_type == "vit" and None in sizes:
            raise ValueError("a vision transformer without its sizes")
        return self


class Recipe(_Fields):
    """Of recipe.yaml: settings that sentences name; all of them stand in a command."""

    model_config = ConfigDict(extra="allow", frozen=True, regex_engine="python-re")
    __pydantic_extra__: dict[str, Setting | list[Any] | dict[str, Any]]
    image_size: Count
    targets: Word
