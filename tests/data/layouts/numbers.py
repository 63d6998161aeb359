"""A number is not a name: data sets number their classes in different orders."""

from datasets import ClassLabel, Dataset, DatasetDict, Features, Image

from tests.data.layouts.expectation import CODE_TABLES, Kind, refused, right, right_or_refused
from tests.data.layouts.place import AFFECTNET, EVERY, FER2013, LEFT_OUT, RAFDB, WORDS, Place

layout = Kind("A number is not a name")
CLASS_MAP = (
    '--class_map={"0": anger, "1": disgust, "2": fear, "3": happiness, "4": sadness, "5": surprise, "6": neutral}'
)
numbers_refused = refused(*CODE_TABLES, never=("--classes '", r'"\d+": null', r"data_path \S+ holds no layout"))


def coded_csv(at: Place, codes: dict[str, int], name: str = "labels.csv") -> None:
    """A csv file of faces and their codes."""
    at.table(name, "path,label", [(path, codes[label]) for path, label in at.faces("faces/{n}.png")])


@layout("csv", numbers_refused, quick=True)
def csv_of_fer2013_codes(at: Place) -> None:
    """A csv file path,label with the codes of FER2013."""
    coded_csv(at, FER2013)


@layout("csv", right(), "--label_codes=fer2013")
def csv_of_fer2013_codes_by_name(at: Place) -> None:
    """A csv file of FER2013's codes."""
    coded_csv(at, FER2013)


@layout("csv", right(), "--label_codes=expw")
def csv_of_expw_codes_by_name(at: Place) -> None:
    """A csv file of ExpW's codes."""
    coded_csv(at, FER2013)


@layout("csv", right(), CLASS_MAP)
def csv_of_codes_by_class_map(at: Place) -> None:
    """A csv file of codes that class_map names."""
    coded_csv(at, FER2013)


@layout("csv", refused("7", never=("null", "--classes '")), "--label_codes=fer2013")
def csv_of_codes_outside_the_table(at: Place) -> None:
    """A csv file of AffectNet's eight codes, given the seven of FER2013."""
    rows = [
        (path, (AFFECTNET | {"contempt": 7})[label]) for path, label in at.faces("{n}.png", 4, [*EVERY, "contempt"])
    ]
    at.table("labels.csv", "path,label", rows)


@layout("csv", right(prints=("contempt",)), "--label_codes=affectnet")
def csv_of_affectnet_codes_by_name(at: Place) -> None:
    """A csv file of AffectNet's codes, contempt among them."""
    rows = [(path, AFFECTNET[label]) for path, label in at.faces("faces/{n}.png")]
    rows += [(path, 7) for path, _ in at.faces("faces/{n}.png", 4, ["contempt"], fate=LEFT_OUT)]
    at.table("labels.csv", "path,label", rows)


@layout("csv", numbers_refused)
def csv_of_own_codes(at: Place) -> None:
    """A csv file of somebody's own codes 0, 1 and 2."""
    codes = {"happiness": 0, "neutral": 1, "sadness": 2}
    at.table("labels.csv", "path,label", [(path, codes[label]) for path, label in at.faces("{n}.png", 8, codes)])


@layout("csv", right())
def csv_of_codes_beside_names(at: Place) -> None:
    """A csv file with a column of codes and a column of names."""
    rows = [(path, FER2013[label], WORDS[label]) for path, label in at.faces("faces/{n}.png")]
    at.table("labels.csv", "path,label,emotion", rows)


@layout("csv", right_or_refused("label", "emotion"))
def csv_of_codes_that_contradict_names(at: Place) -> None:
    """Codes beside names, where one code stands beside several names."""
    rows = [
        (path, n % 7, WORDS[label])
        for n, (path, label) in enumerate(at.faces("{n}.png", labels=[*EVERY[1:], *EVERY[:1]]))
    ]
    rows[0] = (rows[0][0], 5, rows[0][2])
    at.table("labels.csv", "path,label,emotion", rows)


@layout("csv", refused("--label_codes|--class_map", never=("--classes '",)))
def csv_of_names_and_codes_mixed(at: Place) -> None:
    """A label column of names, with codes in four rows."""
    rows = [(path, WORDS[label] if n > 3 else FER2013[label]) for n, (path, label) in enumerate(at.faces("{n}.png"))]
    at.table("labels.csv", "path,label", rows)


@layout("csv", numbers_refused)
def csv_of_codes_as_floats(at: Place) -> None:
    """Codes as pandas writes them where a cell was missing: 3.0."""
    at.table("labels.csv", "path,label", [(path, float(FER2013[label])) for path, label in at.faces("{n}.png")])


@layout("csv", refused("--label_codes|--class_map", never=("--classes '",)))
def csv_of_codes_in_other_digits(at: Place) -> None:
    """Codes with a leading zero, a plus and full-width digits."""
    shown = {0: "00", 1: "01", 2: "+2", 3: "３", 4: "04", 5: "5", 6: "٦"}
    at.table("labels.csv", "path,label", [(path, shown[FER2013[label]]) for path, label in at.faces("{n}.png")])


@layout("folder", numbers_refused)
def folders_one_to_seven(at: Place) -> None:
    """Class folders 1 to 7, without a word about RAF-DB."""
    for label in EVERY:
        list(at.faces(f"{EVERY.index(label) + 1}/{{n}}.png", 4, [label]))


@layout("folder", right(), "--label_codes=rafdb")
def folders_of_rafdb_codes_by_name(at: Place) -> None:
    """Class folders 1 to 7 under train and test, those of RAF-DB."""
    for split in ("train", "test"):
        for label in EVERY:
            list(at.faces(f"{split}/{RAFDB[label]}/{{n}}.png", 4, [label], split=split))


@layout("folder", numbers_refused)
def folders_zero_to_six_in_splits(at: Place) -> None:
    """Class folders 0 to 6 under train and test."""
    for split in ("train", "test"):
        for label in EVERY:
            list(at.faces(f"{split}/{FER2013[label]}/{{n}}.png", 3, [label], split=split))


@layout("folder", right_or_refused("0_angry|1_disgust"))
def folders_of_codes_and_names(at: Place) -> None:
    """Class folders such as 3_happy."""
    for label in EVERY:
        list(at.faces(f"{FER2013[label]}_{WORDS[label]}/{{n}}.png", 4, [label]))


def cells(at: Place, each: int = 4, **truth: object) -> list[tuple[bytes, str]]:
    """Faces of all classes for tables that hold pictures."""
    return [(at.cell(label, **truth), label) for _ in range(each) for label in EVERY]


@layout("parquet", numbers_refused)
def parquet_of_codes(at: Place) -> None:
    """A parquet file with a column of whole numbers."""
    at.parquet("faces.parquet", [{"image": cell, "label": FER2013[label]} for cell, label in cells(at)])


@layout("parquet", numbers_refused, "--label_column=label")
def parquet_of_codes_in_a_named_column(at: Place) -> None:
    """A parquet file with a column of whole numbers: naming the column does not name the codes."""
    at.parquet("faces.parquet", [{"image": cell, "label": FER2013[label]} for cell, label in cells(at)])


@layout("parquet", right(), "--label_codes=fer2013")
def parquet_of_codes_by_name(at: Place) -> None:
    """A parquet file with a column of FER2013's codes."""
    at.parquet("faces.parquet", [{"image": cell, "label": FER2013[label]} for cell, label in cells(at)])


@layout("parquet", right())
def parquet_of_codes_beside_names(at: Place) -> None:
    """A parquet file with a column of codes and a column of names."""
    rows = [{"image": cell, "label": FER2013[label], "expression": WORDS[label]} for cell, label in cells(at)]
    at.parquet("faces.parquet", rows)


@layout("parquet", refused("--label_codes|--class_map"))
def parquet_of_float_codes(at: Place) -> None:
    """A parquet file with codes as floats."""
    at.parquet("faces.parquet", [{"image": cell, "label": float(FER2013[label])} for cell, label in cells(at)])


def class_label(at: Place, names: list[str]) -> Dataset:
    """Faces with a ClassLabel of FER2013's order under `names`."""
    rows = cells(at)
    columns = {"image": [{"bytes": c, "path": None} for c, _ in rows], "label": [FER2013[label] for _, label in rows]}
    return Dataset.from_dict(columns, features=Features({"image": Image(), "label": ClassLabel(names=names)}))


@layout("parquet", right())
def parquet_of_a_class_label(at: Place) -> None:
    """A parquet file whose ClassLabel carries the names."""
    class_label(at, [WORDS[label] for label in FER2013]).to_parquet(at.write("faces.parquet", ""))


@layout("parquet", numbers_refused)
def parquet_of_a_class_label_of_digits(at: Place) -> None:
    """A ClassLabel whose names are digits, as imagefolder makes them of folders 0 to 6."""
    class_label(at, [str(code) for code in FER2013.values()]).to_parquet(at.write("faces.parquet", ""))


@layout("saved", refused("--label_codes|--class_map"))
def saved_class_label_of_digits(at: Place) -> None:
    """A folder of save_to_disk whose ClassLabel has digits for names."""
    DatasetDict(train=class_label(at, [str(code) for code in FER2013.values()])).save_to_disk(at.root)
    at.others += 4


@layout("jsonl", numbers_refused)
def metadata_jsonl_of_codes(at: Place) -> None:
    """A metadata.jsonl of Hugging Face with codes."""
    rows = [{"file_name": path, "label": FER2013[label]} for path, label in at.faces("{n}.png")]
    at.json_lines("metadata.jsonl", rows)


@layout("csv", numbers_refused)
def metadata_csv_of_codes(at: Place) -> None:
    """A metadata.csv of Hugging Face with codes, beside train pictures."""
    rows = [(path.split("/")[1], FER2013[label]) for path, label in at.faces("train/{n}.png", split="train")]
    at.table("train/metadata.csv", "file_name,label", rows)


@layout("csv", refused("1", "--class_map|--label_codes", never=("--classes '",)), '--class_map={"0": anger}')
def csv_of_codes_of_which_one_is_mapped(at: Place) -> None:
    """A csv file of codes 0 to 6, of which class_map names one."""
    coded_csv(at, FER2013)
