"""The commands in docker/ start Dask's programs."""

from __future__ import annotations

from importlib import util

import pytest

needs_dask = pytest.mark.skipif(
    util.find_spec("distributed") is None, reason="Dask is not installed: pip install gpuvgm[dask]"
)
