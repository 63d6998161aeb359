"""Pictures vanish uncounted: every file below the path is read or counted, and its content says what it is."""

import io

from PIL import Image

from tests.data.layouts.expectation import Kind, right, right_or_refused
from tests.data.layouts.place import EVERY, LEFT_OUT, MAY_BE_READ, WORDS, Place

layout = Kind("Pictures vanish uncounted")
EIGHT = r"\b8\b.*picture|picture.*\b8\b"
LENIENT = "--max_bad_share=0.5"


@layout("folder", right(prints=(EIGHT,)), quick=True)
def loose_pictures_in_the_root(at: Place) -> None:
    """Class folders, and eight pictures beside them."""
    at.class_folders()
    list(at.faces("{n}.png", 8, ["happiness"], fate=LEFT_OUT))


@layout("folder", right(prints=(EIGHT,)))
def loose_pictures_in_train(at: Place) -> None:
    """Split folders, and eight pictures in train/ itself."""
    at.class_folders("train/", split="train")
    at.class_folders("test/", split="test")
    list(at.faces("train/{n}.png", 8, ["happiness"], fate=LEFT_OUT))


@layout("folder", right_or_refused("link|happy/more"))
def a_linked_folder_in_a_class(at: Place) -> None:
    """happy/more is a link to a folder outside: its pictures are read, or the link is counted."""
    at.class_folders()
    (at.root / "happy" / "more").symlink_to(at.outside)
    for _ in range(4):
        (at.outside / f"{at.drawn}.png").write_bytes(at.cell("happiness", "linked", fate=MAY_BE_READ))


@layout("folder", right(prints=(r"link|\b3\b",)))
def dead_links(at: Place) -> None:
    """Three links to pictures that are gone."""
    at.class_folders()
    for n in range(3):
        (at.root / "sad" / f"gone{n}.png").symlink_to(at.outside / f"gone{n}.png")
    at.others += 3


@layout("folder", right())
def links_in_a_circle(at: Place) -> None:
    """A class folder with a link to the root, and a link to itself."""
    at.class_folders()
    (at.root / "sad" / "up").symlink_to(at.root)
    (at.root / "sad" / "self").symlink_to(at.root / "sad" / "self")
    at.others += 2


@layout("folder", right())
def jpeg_and_its_kin_under_rare_suffixes(at: Place) -> None:
    """.jfif, .jpe, .JPG, .avif and .jp2."""
    for suffix, kind in (("jfif", "JPEG"), ("jpe", "JPEG"), ("JPG", "JPEG"), ("avif", "AVIF"), ("jp2", "JPEG2000")):
        list(at.faces(f"{{word}}/{{n}}.{suffix}", 1, kind=kind))


@layout("folder", right())
def every_format_that_is_read(at: Place) -> None:
    """GIF, BMP, WebP, TIFF, PPM and MPO."""
    for suffix, kind in (
        ("gif", "GIF"),
        ("bmp", "BMP"),
        ("webp", "WEBP"),
        ("tif", "TIFF"),
        ("ppm", "PPM"),
        ("mpo", "MPO"),
    ):
        list(at.faces(f"{{word}}/{{n}}.{suffix}", 1, kind=kind))


@layout("folder", right())
def pictures_without_a_suffix(at: Place) -> None:
    """Names without a suffix, as hashes are."""
    list(at.faces("{word}/{n}f3a9c2", kind="JPEG"))


@layout("folder", right())
def pictures_under_a_wrong_suffix(at: Place) -> None:
    """JPEG files called .png, and PNG files called .jpg, .dat and .txt."""
    for suffix, kind in (("png", "JPEG"), ("jpg", "PNG"), ("dat", "PNG"), ("txt", "PNG")):
        list(at.faces(f"{{word}}/{{n}}.{suffix}", 1, kind=kind))


@layout("csv", right())
def csv_of_pictures_without_a_suffix(at: Place) -> None:
    """A csv file that lists names without a suffix, which are the files' names."""
    at.table("labels.csv", "path,label", [(p, WORDS[w]) for p, w in at.faces("faces/{n}", kind="AVIF")])


@layout("parquet", right())
def parquet_of_other_formats(at: Place) -> None:
    """A parquet file of AVIF, JPEG 2000 and WebP."""
    kinds = ("AVIF", "JPEG2000", "WEBP", "TIFF")
    at.parquet("faces.parquet", [{"image": at.cell(w, kind=k), "label": WORDS[w]} for k in kinds for w in EVERY])


@layout("csv", right(prints=(EIGHT,)))
def csv_that_lists_a_part(at: Place) -> None:
    """A csv file, and eight pictures that it does not list."""
    at.table("labels.csv", "path,label", [(p, WORDS[w]) for p, w in at.faces("faces/{n}.png")])
    list(at.faces("faces/{n}.png", 8, ["happiness"], fate=LEFT_OUT))


@layout("folder", right())
def pictures_deep_in_class_folders(at: Place) -> None:
    """happy/2020/may/1.png."""
    list(at.faces("{word}/2020/may/{n}.png"))


def _foreign(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, kind)
    return buffer.getvalue()


@layout("folder", right_or_refused(r"\d", prints=("3|three",)), LENIENT)
def files_of_other_kinds_under_picture_names(at: Place) -> None:
    """A PDF, an icon and a PCX file called .jpg: counted, and given to no other decoder."""
    at.class_folders()
    for n, kind in enumerate(("PDF", "ICO", "PCX")):
        at.write(f"happy/other{n}.jpg", _foreign(kind))


@layout("folder", right_or_refused("happy/page.jpg|page"), LENIENT)
def a_web_page_under_a_picture_name(at: Place) -> None:
    """An HTML page, an empty file and a cut JPEG among the pictures."""
    at.class_folders()
    at.write("happy/page.jpg", "<!DOCTYPE html><title>404</title>")
    at.write("happy/empty.png", b"")
    at.write("sad/cut.jpg", at.cell("sadness", "cut", "JPEG", fate=LEFT_OUT)[:400])


@layout("parquet", right_or_refused("path|bytes|image|picture"))
def parquet_that_names_files(at: Place) -> None:
    """A parquet file of file names, and the pictures beside it."""
    at.parquet("faces.parquet", [{"image": p, "label": WORDS[w]} for p, w in at.faces("images/{n}.png")])


@layout("folder", right())
def linked_pictures(at: Place) -> None:
    """Pictures that are links to files outside: read, or counted as links."""
    at.class_folders()
    target = at.outside / "1.png"
    target.write_bytes(at.cell("happiness", "linked", fate=MAY_BE_READ))
    (at.root / "happy" / "linked.png").symlink_to(target)


@layout("folder", right_or_refused("raw"))
def a_folder_beside_split_folders(at: Place) -> None:
    """train/, test/ and a folder of pictures called raw/ beside them, which are counted."""
    at.class_folders("train/", split="train")
    at.class_folders("test/", split="test")
    list(at.faces("raw/{n}.png", 4, ["happiness"], fate=LEFT_OUT))


@layout("folder", right_or_refused("cannot be used", prints=("pip install pillow-heif",)))
def pictures_in_heif_without_its_decoder(at: Place) -> None:
    """Four .heic files of a phone: counted without pillow-heif, and damaged for those who have it."""
    at.class_folders()
    for n in range(4):
        at.write(f"happy/IMG_{n}.heic", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100))


@layout("folder", right_or_refused("deep|nested|d/d"))
def a_picture_far_below(at: Place) -> None:
    """A picture under 200 folders."""
    at.class_folders()
    at.face("happy/" + "d/" * 200 + "1.png", "happiness")
