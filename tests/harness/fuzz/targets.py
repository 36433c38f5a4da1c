"""What the harness spoils: every border at which bytes from outside come in, and runs that are cut short.

A target is a `Target` of `tests.harness.fuzz.harness`: `prepare` makes whole inputs and right results once, `attempt`
spoils a copy with the random numbers it is given, uses it and compares. Where a flipped bit may leave another valid
file, compare with what another reader makes of that file. In one case of twenty spoil nothing: what is whole must be
taken. A case's fault depends on the names of target and case alone, and becomes another one as soon as the target
changes.
"""

from __future__ import annotations

from tests.harness.fuzz import (
    clusters,
    csv_files,
    csv_values,
    drop_ins,
    encoded,
    folders,
    http_bodies,
    models,
    parts,
    runs,
    samples,
    storage,
    streams,
    training_rows,
    users_files,
)
from tests.harness.fuzz.harness import Target

_ROOMS = (
    *(encoded, users_files, csv_files, csv_values, folders, parts, http_bodies, models, samples, runs, streams),
    *(clusters, storage, training_rows, drop_ins),
)

TARGETS: dict[str, Target] = {target.name: target for room in _ROOMS for target in room.TARGETS}
