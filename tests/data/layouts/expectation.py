"""What must become of a layout: every row right, or one line that names what is wrong and what to type."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The tables of label codes that a refused number is shown beside, and the two ways to say which it is.
CODE_TABLES = ("FER2013", "RAF-?DB", "AffectNet", "ExpW", r"CK(\+|plus)", "--label_codes", "--class_map")

# No message proposes one of these: each would complete the mistake that it reports.
NEVER = (r"""--class_map '?\{"[^"]*": "neutral"\}""",)


@dataclass(frozen=True)
class Expected:
    """The outcomes that are right for a layout.

    Attributes:
        may_be_right: every row may go in, as the layout recorded it.
        may_be_refused: one line may refuse it instead.
        words: patterns that this line contains, in any case.
        never: patterns that it does not contain.
        prints: patterns that the command prints where the rows go in.
        follow: the option whose proposed value, taken from the line and typed, makes every row go in; None for none.
    """

    may_be_right: bool
    may_be_refused: bool
    words: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    prints: tuple[str, ...] = ()
    follow: str | None = None

    def in_words(self) -> str:
        """For the table of outcomes."""
        outcomes = ["right"] * self.may_be_right + ["refused"] * self.may_be_refused
        return " or ".join(outcomes) + (f", and then right with the {self.follow} it proposes" if self.follow else "")


def right(*, prints: tuple[str, ...] = ()) -> Expected:
    """Every row goes in right; the command prints `prints`."""
    return Expected(may_be_right=True, may_be_refused=False, prints=prints)


def refused(*words: str, never: tuple[str, ...] = (), follow: str | None = None) -> Expected:
    """One line with `words` and without `never`."""
    return Expected(may_be_right=False, may_be_refused=True, words=words, never=never, follow=follow)


def right_or_refused(*words: str, never: tuple[str, ...] = (), prints: tuple[str, ...] = ()) -> Expected:
    """Either is sound: every row goes in right and the command prints `prints`, or one line with `words` refuses it."""
    return Expected(may_be_right=True, may_be_refused=True, words=words, never=never, prints=prints)


@dataclass(frozen=True)
class Layout:
    """A data set as somebody holds it: `make(place)` draws it, and may return another data_path than the folder."""

    kind: str
    reader: str
    make: Callable[..., Any]
    expected: Expected
    options: tuple[str, ...]
    quick: bool  # in the default tests

    @property
    def name(self) -> str:
        """What the function is called."""
        return self.make.__name__

    @property
    def title(self) -> str:
        """The docstring, without its full stop, and the options that are typed."""
        said = re.sub(r"\s+", " ", str(self.make.__doc__)).strip().rstrip(".")
        return " ".join([said, *(f"`{option}`" for option in self.options)])


class Kind:
    """One kind of trap; an instance decorates the layouts of its module."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.layouts: list[Layout] = []

    def __call__(
        self, reader: str, expected: Expected, *options: str, quick: bool = False
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """The decorator: the reader concerned, the outcome that is right, and the `--name=value` that are typed.

        FOLDER in a value stands for the folder of the layout; `--sources` takes the place of its data_path.
        """

        def add(make: Callable[..., Any]) -> Callable[..., Any]:
            self.layouts.append(Layout(self.title, reader, make, expected, options, quick))
            return make

        return add
