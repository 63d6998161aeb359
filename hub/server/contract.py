"""What the API takes and gives, as its OpenAPI document tells it."""

from typing import Any, Literal

import bodies
from pydantic import BaseModel


class Failure(BaseModel):
    """Why there is no answer."""

    error: str


class Score(BaseModel):
    """A class and its score; by softmax scores are shares that sum to 1 over all classes."""

    label: str
    score: float


class Face(BaseModel):
    """A face: where it is, in pixels of the upright photo, how sure the detector is, and what the model answers."""

    box: tuple[float, float, float, float]
    detection: float
    scores: list[Score]
    crop: str
    map: str | None


class File(BaseModel):
    """A picture and its faces, largest first; `message` says why there are none. An unreadable one has no size."""

    name: str
    width: int | None
    height: int | None
    milliseconds: float
    message: str | None
    faces: list[Face]


class Prediction(BaseModel):
    """What `POST /predict` answers."""

    classes: list[str]
    files: list[File]


class Example(BaseModel):
    """A drawn face to try: what it shows, and where it is, from here."""

    name: str
    src: str


class Health(BaseModel):
    """What runs here."""

    status: Literal["ok"]
    model: str
    engine: Literal["onnxruntime", "torch"]
    classes: list[str]
    height: int
    width: int
    detector: bool
    max_bytes: int
    max_files: int
    max_pixels: int


REASONS = {
    400: "A damaged picture or body, or a host name that is not served.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, pixels or files.",
    415: "No picture of a kind that is read, or another Content-Type.",
    422: "A wrong or unknown parameter or field.",
    500: "The server failed.",
    503: "Too many requests at once: try again after the seconds in Retry-After.",
}
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": reason} for status, reason in REASONS.items()
}
QUESTION: dict[str, Any] = {
    "required": True,
    "description": "A face that is cut out: its bytes, or JSON with its base64 and parameters.",
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "additionalProperties": False,
                "properties": {
                    "inputs": {"type": "string", "format": "byte", "description": "base64, never an address"},
                    "parameters": {
                        "type": ["object", "null"],
                        "additionalProperties": False,
                        "properties": {
                            "top_k": {"type": ["integer", "null"], "minimum": 1, "default": bodies.TOP_K},
                            "function_to_apply": {
                                "type": ["string", "null"],
                                "enum": [*bodies.FUNCTIONS, None],
                                "description": "null: what the model's config says",
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
        bodies.MULTIPART: {
            "schema": {
                "type": "object",
                "required": [bodies.FIELD],
                "additionalProperties": False,
                "properties": {
                    bodies.FIELD: {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                    }
                },
            }
        }
    },
}
