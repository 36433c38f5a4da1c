"""What the harness spoils: every border at which bytes from outside come in, and runs that are cut short."""

from __future__ import annotations

from tests.fuzz import clusters, csv_files, encoded, http_bodies, models, runs, storage, users_files
from tests.fuzz.harness import Target

_ROOMS = (encoded, users_files, csv_files, http_bodies, models, runs, clusters, storage)

TARGETS: dict[str, Target] = {target.name: target for room in _ROOMS for target in room.TARGETS}
