"""Texts with right check digits, for tables of tests."""

from __future__ import annotations

import numpy as np

from gpuvgm.codecs import CHECKS


def with_check_digits(text: str, check: str) -> str:
    """The text with right check digits in place of those that it has; blanks between letters stay."""
    letters = np.frombuffer(text.encode(), np.uint8)[None].copy()
    CHECKS[check].close(letters)
    return letters.tobytes().decode()
