"""Sums over the rows of a key that balance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from tests.synthesis.sequences.trades import journal


def fitted(table: Any) -> gpuvgm.TableSynthesizer[Any]:
    return gpuvgm.TableSynthesizer(sequence_key="entry", threads=1).fit(table)


def are_balanced(rows: pd.DataFrame) -> bool:
    sums = rows.groupby("entry")[["debit", "credit"]].sum()
    return bool(np.allclose(sums.debit, sums.credit, atol=0.001, rtol=0))


@pytest.mark.parametrize("blank", [False, True])
def test_what_is_debited_is_credited(blank: bool) -> None:
    table = journal(400, 0)
    if blank:
        table = table.replace({"debit": {0: np.nan}, "credit": {0: np.nan}})
    synthesizer = fitted(table)
    assert "sum(debit) = sum(credit)" in str(synthesizer)
    sample = synthesizer.sample(keys=500)
    assert are_balanced(sample)
    assert ((sample.debit.fillna(0) != 0) != (sample.credit.fillna(0) != 0)).mean() > 0.995
    debited = sample[sample.debit.fillna(0) != 0].account
    assert debited.isin(["receivables", "goods", "input vat", "bank"]).mean() > 0.99
    assert not blank or ((sample.debit != 0) & (sample.credit != 0)).all()
    assert synthesizer.sample(60, first_row=33).equals(synthesizer.sample(93).iloc[33:].reset_index(drop=True))


def test_signed_amounts_add_up_to_nothing() -> None:
    table = journal(400, 1)
    table = table.assign(amount=(table.debit - table.credit).round(2)).drop(columns=["debit", "credit"])
    synthesizer = fitted(table)
    assert "sum(amount) = 0" in str(synthesizer)
    sums = synthesizer.sample(keys=500).groupby("entry").amount.sum()
    assert sums.abs().max() < 0.001


def test_what_balances_in_both_columns_at_once_need_not_be_apart() -> None:
    """What is ordered is delivered, in other rows."""
    random, rows = np.random.default_rng(2), []
    for entry in range(300):
        ordered = random.integers(1, 30, 2 + random.poisson(1.5))
        delivered = random.multinomial(ordered.sum(), random.dirichlet(np.ones(len(ordered)) * 4))
        rows += [(f"J{entry:04}", *pair) for pair in zip(ordered, delivered, strict=True)]
    sample = fitted(pd.DataFrame(rows, columns=["entry", "debit", "credit"])).sample(keys=400)
    assert are_balanced(sample)


def test_sums_that_one_key_breaks_are_no_law() -> None:
    table = journal(400, 3)
    table.loc[5, "credit"] += 1
    assert "sum(" not in str(fitted(table))


def test_other_laws_of_the_row_are_kept() -> None:
    """Pieces that are moved between shops, and what they are worth."""
    random, rows = np.random.default_rng(4), []
    for entry in range(400):
        cost, pieces = float(random.integers(1, 60)) / 2, random.integers(1, 40, 1 + random.poisson(1.2))
        rows += [(f"J{entry:04}", cost, shop, -int(some)) for shop, some in enumerate(pieces)]
        rows.append((f"J{entry:04}", cost, 9, int(pieces.sum())))
    table = pd.DataFrame(rows, columns=["entry", "cost", "shop", "pieces"]).assign(worth=lambda t: t.cost * t.pieces)
    sample = fitted(table).sample(keys=500)
    assert (sample.groupby("entry").pieces.sum() == 0).all()
    assert np.allclose(sample.pieces * sample.cost, sample.worth)
