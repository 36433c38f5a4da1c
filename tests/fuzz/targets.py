"""What the harness spoils: every border at which bytes from outside come in, and every way to end a run."""

from __future__ import annotations

from tests.fuzz.clusters import TARGETS as CLUSTERS
from tests.fuzz.encoded import TARGETS as ENCODED
from tests.fuzz.harness import Target
from tests.fuzz.models import TARGETS as MODELS
from tests.fuzz.runs import TARGETS as RUNS
from tests.fuzz.storage import TARGETS as STORAGE

TARGETS: dict[str, Target] = {target.name: target for target in (*ENCODED, *MODELS, *RUNS, *CLUSTERS, *STORAGE)}
