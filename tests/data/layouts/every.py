"""All layouts, kind by kind."""

from tests.data.layouts import (
    archives,
    crashes,
    first_tries,
    guesses,
    losses,
    made_splits,
    numbers,
    own_classes,
    own_splits,
    persons,
    stray,
    tables_beside,
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
)
assert archives.layout is first_tries.layout  # the same kind, in two modules
LAYOUTS = [layout for kind in KINDS for layout in kind.layouts]
