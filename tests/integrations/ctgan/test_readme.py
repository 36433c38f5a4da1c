"""What the README shows of the drop-ins runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("ctgan", reason="ctgan is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")
README = (Path(__file__).resolve().parents[3] / "README.md").read_text()


def test_the_drop_ins_of_the_readme() -> None:
    codes = [
        code
        for code in re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        if "gpuvgm.integrations" in code
    ]
    assert len(codes) == 2
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=600), "colour": random.choice(["red", "green"], 600)})
    for code in codes:
        names = {"frame": frame.copy()}
        exec(code, names)
        if "model" in names:
            assert len(names["model"].sample(10)) == 10
        else:
            assert {"x.normalized", "x.component"} <= set(names["encoded"].columns)
