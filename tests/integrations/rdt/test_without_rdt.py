"""What is said where RDT is not installed."""

from __future__ import annotations

import importlib
import sys

import pytest


def test_the_message_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdt", None)
    monkeypatch.delitem(sys.modules, "gpuvgm.integrations.rdt", raising=False)
    with pytest.raises(ImportError, match=r'gpuvgm.integrations.rdt needs RDT: pip install "gpuvgm\[rdt\]"'):
        importlib.import_module("gpuvgm.integrations.rdt")
