"""What the harness spoils: every border at which bytes from outside come in."""

from __future__ import annotations

from tests.fuzz.csv_files import TARGETS as CSV_FILES
from tests.fuzz.encoded import TARGETS as ENCODED
from tests.fuzz.harness import Target
from tests.fuzz.models import TARGETS as MODELS
from tests.fuzz.runs import TARGETS as RUNS
from tests.fuzz.users_files import TARGETS as USERS_FILES

TARGETS: dict[str, Target] = {target.name: target for target in (*ENCODED, *USERS_FILES, *CSV_FILES, *MODELS, *RUNS)}
