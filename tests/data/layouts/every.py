"""All layouts, kind by kind."""

from tests.data.layouts import (
    archives,
    crashes,
    first_folders,
    first_shares,
    first_tries,
    guesses,
    known_codes,
    losses,
    made_splits,
    not_understood,
    numbers,
    own_classes,
    own_splits,
    parts,
    persons,
    private_files,
    said_twice,
    stray,
    tables_beside,
    unsaid,
    vanishing,
)

KINDS = (
    numbers.layout,
    guesses.layout,
    own_splits.layout,
    persons.layout,
    tables_beside.layout,
    vanishing.layout,
    losses.layout,
    crashes.layout,
    first_tries.layout,
    made_splits.layout,
    stray.layout,
    own_classes.layout,
    said_twice.layout,
    not_understood.layout,
    parts.layout,
)
FURTHER = (
    archives,
    first_folders,
    first_shares,
    known_codes,
    private_files,
    unsaid,
)  # modules that add layouts to one of these kinds
LAYOUTS = [layout for kind in KINDS for layout in kind.layouts]
