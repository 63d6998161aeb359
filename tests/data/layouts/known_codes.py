"""Numbers whose data set is known: the published files of FER2013, and sources that each say whose codes they hold."""

from tests.data.layouts.checkout import draw_face
from tests.data.layouts.expectation import right, right_or_refused
from tests.data.layouts.numbers import layout
from tests.data.layouts.place import AFFECTNET, EVERY, FER2013, LEFT_OUT, READ, Place


def pixels_csv(at: Place, header: str, codes: dict[str, int], usage: bool = True) -> None:
    """A csv file of 48 x 48 gray values, as FER2013 is published."""
    rows: list[list[object]] = []
    for split, called in (("train", "Training"), ("validation", "PublicTest"), ("test", "PrivateTest")):
        for label in [label for _ in range(3) for label in codes]:
            picture = draw_face(label if label in EVERY else "neutral", 1, len(rows), 48).convert("L")
            fate = READ if label in EVERY else LEFT_OUT
            at.keep(picture, label, split=split if usage else None, fate=fate)
            rows.append([codes[label], " ".join(map(str, picture.tobytes())), *[called] * usage])
    at.table("fer2013.csv", header, rows)


@layout("fer2013", right())
def fer2013_itself(at: Place) -> None:
    """fer2013.csv emotion,pixels,Usage: the one csv file whose codes are known."""
    pixels_csv(at, "emotion,pixels,Usage", FER2013)


@layout("fer2013", right_or_refused("7", "emotion|class_map|label_codes|line"))
def pixels_with_an_eighth_code(at: Place) -> None:
    """A csv file emotion,pixels,Usage with an emotion 7, which FER2013 does not have."""
    pixels_csv(at, "emotion,pixels,Usage", FER2013 | {"contempt": 7})


@layout("fer2013", right_or_refused("usage|split|column|code"))
def pixels_without_usage(at: Place) -> None:
    """A csv file emotion,pixels with FER2013's codes and without the column Usage."""
    pixels_csv(at, "emotion,pixels", FER2013, usage=False)


@layout(
    "sources",
    right(),
    "--sources=[{data_path: FOLDER/a, label_codes: fer2013}, {data_path: FOLDER/b, label_codes: affectnet}]",
)
def two_sources_of_different_codes(at: Place) -> None:
    """Two csv files, each with the codes of another data set."""
    for folder, codes in (("a", FER2013), ("b", AFFECTNET)):
        rows = [(path.split("/")[1], codes[label]) for path, label in at.faces(f"{folder}/{{n}}.png")]
        at.table(f"{folder}/{folder}.csv", "path,label", rows)
