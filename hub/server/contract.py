"""What the API accepts and returns, as its OpenAPI document describes it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

FUNCTIONS = ("softmax", "sigmoid", "none")
TOP_K = 5  # as pipeline()
MULTIPART = "multipart/form-data"
FIELD = "files"


class Refused(Exception):  # noqa: N818 (named after the request)
    """A request that gets an error: HTTP status (4xx or 503), the reason, and when to try again."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds; None where trying again does not help."""
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


class Failure(BaseModel):
    """Why a request failed."""

    error: str


class Score(BaseModel):
    """A class and its score; with softmax, the scores of all classes sum to 1. Or a score by its name, in its unit.

    `POST /` of a server with FER_NOT_SURE_BELOW begins with the label "not sure" where that is the answer. Its score is
    the chance that the best class is wrong, 1 less the highest score.
    """

    label: str
    score: float


class Face(BaseModel):
    """A face: its box in px of the upright photo, the detector's score, the model's scores, and PNGs as data URLs.

    `sure` is false if the highest score is below FER_NOT_SURE_BELOW: then the answer is "not sure".
    `map_fall` is by how much the best score falls where the map is darkest.
    """

    box: tuple[float, float, float, float]
    detection: float
    scores: list[Score]
    sure: bool
    crop: str
    map: str | None
    map_fall: float | None


class File(BaseModel):
    """A picture and its faces, largest first; `message` says why there is no face. A refused picture has no size."""

    name: str
    width: int | None
    height: int | None
    milliseconds: float
    message: str | None
    faces: list[Face]


class Prediction(BaseModel):
    """The answer of `POST /predict`."""

    classes: list[str]
    files: list[File]


class Example(BaseModel):
    """A drawn face to try: the expression it shows, and its relative URL."""

    name: str
    src: str


class Health(BaseModel):
    """The model, the engine and the limits of this server.

    `class_shares` are those that scores are set to after training; null: as trained. `assumed_shares` are those that
    the scores assume now, with which the page counts all classes as equally frequent; null: not known. Below
    `not_sure_below`, the answer is "not sure".
    `card` is the address of the model's card, if it comes from the Hub; `trained_on` names the sources of its pictures,
    if the model says; `drawn_only` says that all of them were drawn by this project.
    """

    status: Literal["ok"]
    model: str
    engine: Literal["onnxruntime", "torch"]
    classes: list[str] = Field(description="the names of the classes, or of the scores")
    score_ranges: dict[str, list[float]] | None = Field(
        description="lowest and highest value of each score in train; null for a model of classes"
    )
    health_score: bool = Field(
        description="whether a score or a class is of a person's health: a tool for research only"
    )
    card: str | None
    trained_on: list[str]
    drawn_only: bool
    height: int
    width: int
    detector: bool
    class_shares: dict[str, float] | None
    assumed_shares: dict[str, float] | None
    not_sure_below: float
    max_bytes: int
    max_files: int
    max_pixels: int


REASONS = {
    400: "A damaged picture or body, or a host name that this server does not answer to.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, pixels or files.",
    415: "Not a picture in a supported format, or another Content-Type.",
    422: "A wrong or unknown parameter or field.",
    500: "The server failed.",
    503: "Too many requests at once: try again after the number of seconds in Retry-After.",
}
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": reason} for status, reason in REASONS.items()
}
QUESTION: dict[str, Any] = {
    "required": True,
    "description": "A cropped face: its bytes, or JSON with its base64 and parameters.",
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "additionalProperties": False,
                "properties": {
                    "inputs": {"type": "string", "format": "byte", "description": "base64; URLs are refused"},
                    "parameters": {
                        "type": ["object", "null"],
                        "additionalProperties": False,
                        "properties": {
                            "top_k": {"type": ["integer", "null"], "minimum": 1, "default": TOP_K},
                            "function_to_apply": {
                                "type": ["string", "null"],
                                "enum": [*FUNCTIONS, None],
                                "description": "null: the model's config decides",
                            },
                        },
                    },
                },
            }
        },
    },
}
FORM: dict[str, Any] = {
    "required": True,
    "content": {
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "additionalProperties": False,
                "properties": {
                    FIELD: {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                    }
                },
            }
        }
    },
}
