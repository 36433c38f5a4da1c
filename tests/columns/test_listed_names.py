"""Names in messages."""

from __future__ import annotations

from gpuvgm.errors import listed


def test_names_are_quoted_and_long_lists_and_names_are_cut() -> None:
    assert listed([]) == ""
    assert listed(["a", "b\n"]) == '"a", "b\\n"'
    assert listed(map(str, range(25))).endswith('"19" and 5 more')
    assert listed(["1" * 10_000]) == f'"{"1" * 59}…"'
    many = listed(["x" * 58] * 9)
    assert many == ", ".join([f'"{"x" * 58}"'] * 5) + " and 4 more"
