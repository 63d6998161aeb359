"""The staged folder of a data set: tables, `curation.json`, the card, and without pixels `rebuild.py`."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from hub.dataset import rebuild
from hub.dataset.card import make_card
from hub.dataset.curated import Curated
from hub.dataset.tables import write_tables
from hub.staging import without_keys
from pipeline.errors import InputError
from pipeline.run_folder import CURATION, write_json

PUBLISHED = ("README.md", CURATION, "*.parquet", "rebuild.py")
"""What a published data set consists of. Other files of the repository are left as they are."""


@dataclass(frozen=True)
class Pixels:
    """Whether pictures travel, under which licence, and which sources hold them back."""

    travel: bool
    licence: str
    held_by: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """What to print."""
        if self.travel:
            return f"with pictures, under {self.licence}"
        return (
            f"without pictures: those of {', '.join(self.held_by)} may not travel, as far as the terms are known here; "
            "labels, votes, keys, hashes and copy groups are published, with rebuild.py"
        )


def decide_pixels(curated: Curated, licence: str | None) -> Pixels:
    """Pictures travel if every source allows it; `licence` states that for sources of one's own.

    Raises:
        InputError: labels of a source may not travel; `licence` is not one of SPDX, or is given for a public data set,
            or for no source.
    """
    if kept := [source.id for source in curated.sources if not source.may_publish_labels]:
        raise InputError(f"{', '.join(kept)}: the terms do not allow to publish labels row by row; curate without it")
    held = [source for source in curated.sources if not source.may_publish_pixels]
    if licence is not None:
        _check_licence(licence)
        if not held:
            raise InputError("--licence: every source states its own licence already; leave it out")
        if public := [source.id for source in held if source.datasets or source.origin == "hub"]:
            raise InputError(
                f"--licence {licence}: {', '.join(public)} is not your own, so its pictures stay here; leave --licence "
                "out to publish labels and hashes"
            )
        return Pixels(True, licence)
    licences = {source.licence for source in curated.sources}
    common = licences.pop() if len(licences) == 1 else "other"
    return Pixels(not held, common, tuple(source.id for source in held))


def _check_licence(licence: str) -> None:
    """Refuse what is not one licence by the list of SPDX, in letters of any case."""
    try:
        known = canonicalize_license_expression(licence).lower() == licence.lower() and licence.isprintable()
    except InvalidLicenseExpression:
        known = False
    if not known or " " in licence or licence.lower().startswith("licenseref-"):
        raise InputError(f"--licence {licence!r}: give one licence by its SPDX name, such as CC-BY-4.0 or MIT")


def stage(curated: Curated, folder: Path, pixels: Pixels, repo_id: str) -> None:
    """Write everything that is sent into the new `folder`.

    Raises:
        InputError: as `write_tables`.
    """
    folder.mkdir(parents=True)
    rows = write_tables(curated, folder, pixels.travel)
    write_json(folder / CURATION, without_keys(curated.report))
    if not pixels.travel:
        shutil.copyfile(rebuild.__file__, folder / "rebuild.py")
    (folder / "README.md").write_text(
        make_card(curated, pixels.travel, pixels.licence, rows, repo_id), encoding="utf-8"
    )
