"""Own classes are possible but hidden: the message proposes the line that trains them."""

import unicodedata

from tests.data.layouts.expectation import Kind, refused, right, right_or_refused
from tests.data.layouts.place import EVERY, LEFT_OUT, WORDS, Place

layout = Kind("Own classes are possible but hidden")
SMILES = ("smiling", "not_smiling")


def folders(at: Place, names: tuple[str, ...], each: int = 10) -> None:
    """Class folders of these names, which are the classes."""
    list(at.faces("{label}/{n}.png", each, names))


@layout("folder", refused("smiling", "10", r"--classes '\[not_smiling, smiling\]'", follow="--classes"), quick=True)
def folders_of_own_classes(at: Place) -> None:
    """smiling/ and not_smiling/."""
    folders(at, SMILES)


@layout("folder", right(), "--classes=[not_smiling, smiling]")
def folders_of_own_classes_that_are_named(at: Place) -> None:
    """Class folders smiling/ and not_smiling/, named."""
    folders(at, SMILES)


@layout("csv", refused("smiling", "10", follow="--classes"))
def csv_of_own_classes(at: Place) -> None:
    """A csv file of smiling and not_smiling."""
    at.table("labels.csv", "path,label", at.faces("faces/{n}.png", 10, SMILES))


@layout("parquet", refused("smiling", "10", follow="--classes"))
def parquet_of_own_classes(at: Place) -> None:
    """A parquet file of smiling and not_smiling."""
    rows = [{"image": at.cell(w), "label": w} for _ in range(10) for w in SMILES]
    at.parquet("faces.parquet", rows)


@layout("folder", refused("yes", "no", follow="--classes"))
def folders_yes_and_no(at: Place) -> None:
    """yes/ and no/, which YAML reads as true and false: the line proposed must work as it is typed."""
    folders(at, ("yes", "no"))


@layout("folder", refused("classes", follow="--classes"))
def folders_of_names_that_yaml_would_cut(at: Place) -> None:
    """Class folders with a comma, a colon and a hash in their names."""
    folders(at, ("calm, open", "tired: eyes", "bored #2"))


@layout("folder", refused("classes", follow="--classes"))
def folders_of_another_script(at: Place) -> None:
    """高兴/ and 悲伤/."""
    folders(at, ("高兴", "悲伤"))


@layout("folder", right(), "--classes=happy,neutral,sad")
def classes_with_commas(at: Place) -> None:
    """Class folders happy, neutral and sad."""
    folders(at, ("happy", "neutral", "sad"))


@layout("csv", right(), "--classes=happy, neutral, sad")
def classes_with_commas_and_blanks(at: Place) -> None:
    """A csv file of happy, neutral and sad."""
    at.table("labels.csv", "path,label", at.faces("faces/{n}.png", 10, ("happy", "neutral", "sad")))


@layout("folder", right(), "--classes=[happy, joy, sad]")
def classes_that_are_synonyms(at: Place) -> None:
    """happy/, joy/ and sad/ are three classes, because they were named so."""
    folders(at, ("happy", "joy", "sad"))


@layout("folder", refused("happiness", "happy", "joy"), "--classes=[happy, joy, sad]")
def a_synonym_of_two_classes(at: Place) -> None:
    """happy/, joy/, sad/ and happiness/: the last could be either of two classes."""
    folders(at, ("happy", "joy", "sad", "happiness"))


@layout("csv", refused("happiness", "happy", "joy"), "--classes=[joy, happy, sad]")
def a_synonym_of_two_classes_in_a_csv(at: Place) -> None:
    """A csv file with the same names."""
    at.table("labels.csv", "path,label", at.faces("f/{n}.png", 10, ("happy", "joy", "sad", "happiness")))


NFC, NFD = unicodedata.normalize("NFC", "étonné"), unicodedata.normalize("NFD", "étonné")


@layout("folder", right(), f"--classes=[{NFC}, calme]")
def names_in_nfd_and_classes_in_nfc(at: Place) -> None:
    """Folders as macOS writes them: é in two characters."""
    for name, label in ((NFD, NFC), ("calme", "calme")):
        list(at.faces(f"{name}/{{n}}.png", 10, [label]))


@layout("csv", right(), f'--class_map={{"{NFC}": surprise}}')
def a_class_map_in_nfc_for_names_in_nfd(at: Place) -> None:
    """A csv file of étonné in two characters, mapped in one."""
    rows = [(p, NFD if w == "surprise" else w) for p, w in at.faces("f/{n}.png")]
    at.table("labels.csv", "path,label", rows)


@layout("folder", refused("hapy", "class_map"), '--class_map={"hapy": happiness}')
def a_class_map_that_matches_nothing(at: Place) -> None:
    """Class folders, and a key of class_map that is the name of none."""
    at.class_folders()


@layout("csv", refused("bored", "class_map"), '--class_map={"bored": null}')
def a_class_map_that_matches_nothing_in_a_csv(at: Place) -> None:
    """A csv file, and a key of class_map that is the name of no label."""
    at.table("labels.csv", "path,label", [(p, WORDS[w]) for p, w in at.faces("f/{n}.png")])


@layout("parquet", refused("bored", "class_map"), '--class_map={"bored": null}')
def a_class_map_that_matches_nothing_in_parquet(at: Place) -> None:
    """A parquet file, and a key of class_map that is the name of no label."""
    at.parquet("faces.parquet", [{"image": at.cell(w), "label": WORDS[w]} for _ in range(4) for w in EVERY])


@layout("folder", refused("bored"))
def one_strange_name_among_expressions(at: Place) -> None:
    """The seven classes and bored/, which has to be mapped or dropped."""
    at.class_folders()
    list(at.faces("bored/{n}.png", 4, ["bored"]))


@layout("folder", right(prints=("angry|anger",)), "--classes=[happiness, sadness]")
def classes_that_leave_others_out(at: Place) -> None:
    """Class folders of seven expressions, and two classes: the others are left out, and it is printed."""
    labels = ("happiness", "sadness")
    list(at.faces("{word}/{n}.png", 10, labels))
    list(at.faces("{word}/{n}.png", 4, [w for w in EVERY if w not in labels], fate=LEFT_OUT))


@layout("folder", right(), f"--classes=[{', '.join(EVERY)}, contempt]")
def contempt_as_an_eighth_class(at: Place) -> None:
    """Class folders of eight expressions, all of them named."""
    list(at.faces("{word}/{n}.png", 4, [*EVERY, "contempt"]))


@layout("csv", right(), '--class_map={"happy": sadness, "sad": happiness}')
def a_class_map_that_swaps(at: Place) -> None:
    """A csv file whose two labels were mixed up, which class_map puts right."""
    words = WORDS | {"happiness": "sad", "sadness": "happy"}
    at.table("labels.csv", "path,label", [(p, words[w]) for p, w in at.faces("f/{n}.png")])


@layout("folder", right_or_refused("Happy|happy"))
def names_that_differ_in_case_only(at: Place) -> None:
    """Happy/ beside happy/: one class."""
    at.class_folders()
    list(at.faces("Happy/{n}.png", 4, ["happiness"]))


@layout("folder", right(prints=("joy",)), "--classes=[happy, neutral, sad]")
def a_synonym_of_one_class(at: Place) -> None:
    """joy/, neutral/ and sad/: joy is the class happy, and the table of names says so."""
    list(at.faces("joy/{n}.png", 10, ["happy"]))
    folders(at, ("neutral", "sad"))


@layout("folder", refused("happy", "classes"), "--classes=[happy, Happy, sad]")
def classes_that_differ_in_case_only(at: Place) -> None:
    """Two classes whose names are equal but for case."""
    folders(at, ("happy", "sad"))


@layout("folder", refused("not_happy"))
def an_expression_and_its_opposite(at: Place) -> None:
    """happy/ and not_happy/: one is an expression, the other is unknown."""
    folders(at, ("happy", "not_happy"))


@layout("folder", refused("smiling", follow="--classes"))
def own_classes_in_splits(at: Place) -> None:
    """train/smiling and test/smiling: the line that is proposed keeps the splits."""
    for split in ("train", "test"):
        list(at.faces(f"{split}/{{label}}/{{n}}.png", 10, SMILES, split=split))


@layout("csv", refused("happy;sad", never=("--classes '",)))
def csv_of_several_labels_a_row(at: Place) -> None:
    """A csv file with a label `happy;sad`."""
    rows = [(p, "happy;sad" if n == 0 else WORDS[w]) for n, (p, w) in enumerate(at.faces("f/{n}.png"))]
    at.table("labels.csv", "path,label", rows)
