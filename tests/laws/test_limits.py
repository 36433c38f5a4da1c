"""Numbers in text with the places and the limits of their category: "140", "4.60" and "<0.05" of a laboratory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.codecs import form_of

ROWS = 4_000


def laboratory(random: np.random.Generator) -> pd.DataFrame:
    """Values of four codes, whose limits below and above are their own; some are missing."""
    limits = {"TSH": (0.01, 9.0), "CRP": (0.6, 40.0), "HB": (40, 999), "PSA": (0.05, 99.0)}
    places = {"TSH": 2, "CRP": 1, "HB": 0, "PSA": 2}
    code = random.choice([*limits], ROWS, p=[0.3, 0.3, 0.2, 0.2])
    value = np.select(
        [code == "TSH", code == "CRP", code == "HB"],
        [random.lognormal(-1.5, 2.3, ROWS), random.lognormal(1.5, 1.6, ROWS), random.normal(80, 25, ROWS)],
        random.lognormal(-0.5, 1.6, ROWS),
    )

    def written(code: str, value: float) -> str:
        low, high = limits[code]
        return f"<{low}" if value < low else f">{high:g}" if value > high else f"{value:.{places[code]}f}"

    texts = pd.Series([written(*row) for row in zip(code, value.tolist(), strict=True)])
    return pd.DataFrame(
        {"code": code, "value": texts.where(random.random(ROWS) > 0.05), "age": random.integers(18, 90, ROWS)}
    )


def wells(random: np.random.Generator) -> pd.DataFrame:
    """What is in the water of wells, with limits that are written with a blank."""
    places, limits = {"As": 2, "Pb": 2, "NO3": 1, "Cl": 0}, {"As": "0.5", "Pb": "0.25", "NO3": "1", "Cl": "5"}
    substance, amounts = random.choice([*limits], ROWS), random.lognormal(1.5, 1.2, ROWS).tolist()
    texts = [
        f"< {limits[name]}" if amount < float(limits[name]) else f"{amount:.{places[name]}f}"
        for name, amount in zip(substance, amounts, strict=True)
    ]
    depth = random.normal(30, 8, ROWS).round(1)
    return pd.DataFrame({"depth": depth, "substance": substance, "result": texts})


TRADES = [(laboratory, "code", "value"), (wells, "substance", "result")]
IDS = [trade.__name__ for trade, *_ in TRADES]


def _parts(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Sign, number and decimal places of texts."""
    parts = rows[name].dropna().str.extract(r"\A(?P<sign>[<>]?) ?(?P<number>\d+(?:\.(?P<places>\d+))?)\Z")
    assert parts["number"].notna().all()
    return parts.assign(places=parts["places"].str.len().astype(float).fillna(0), number=parts["number"].astype(float))


def _shares(rows: pd.DataFrame, table: pd.DataFrame, by: str, name: str) -> tuple[float, float, float]:
    """Shares of the rows whose limit, decimal places and range are those of their category in the table."""
    parts, original = _parts(rows, name), _parts(table, name)
    is_limit, was_limit = parts["sign"] != "", original["sign"] != ""
    limits = {*zip(table[by][original.index][was_limit], table[name][original.index][was_limit], strict=True)}
    category = rows[by][parts.index]
    right = [pair in limits for pair in zip(category[is_limit], rows[name][parts.index][is_limit], strict=True)]
    of_category = original[~was_limit].groupby(table[by])
    places = parts["places"] == category.map(of_category["places"].first())
    within = parts["number"].between(*(category.map(of_category["number"].agg(end)) for end in ("min", "max")))
    return float(np.mean(right)), float(places[~is_limit].mean()), float(within[~is_limit].mean())


@pytest.mark.parametrize(("trade", "by", "name"), TRADES, ids=IDS)
def test_samples_have_the_places_and_limits_of_their_category(trade: Any, by: str, name: str, reloaded: Any) -> None:
    table = trade(np.random.default_rng(1))
    fitted = reloaded(gpuvgm.TableSynthesizer().fit(table))
    law = f"{by} -> steps({name})"
    assert fitted.fit_report_.laws == (law,)
    rows = fitted.sample(2 * ROWS)
    assert _shares(table, table, by, name) == (1, 1, 1)
    limit, places, within = _shares(rows, table, by, name)
    assert limit >= 0.99 and places == 1 and within >= 0.99
    for category, part in table.groupby(by):
        original, sampled = _parts(part, name), _parts(rows[rows[by] == category], name)
        assert abs((original["sign"] != "").mean() - (sampled["sign"] != "").mean()) < 0.06
        assert abs(np.log(original["number"].median() / sampled["number"].median())) < 0.15
    assert np.isfinite(fitted.score_samples(table)).all()
    assert str(gpuvgm.TableSynthesizer(laws=[law]).fit(table).laws_[0]) == law
    swapped = table.assign(
        **{by: table[by].map(dict(zip(table[by].unique(), np.roll(table[by].unique(), 1), strict=True)))}
    )
    assert np.isneginf(fitted.score_samples(swapped)).mean() > 0.4


@pytest.mark.parametrize(("trade", "by", "name"), TRADES, ids=IDS)
def test_places_that_rows_break_or_none_shows_are_not_found(trade: Any, by: str, name: str) -> None:
    table = trade(np.random.default_rng(2))
    moved = table[by].sample(frac=1, random_state=1).to_numpy()
    for broken in (np.random.default_rng(3).random(ROWS) < 0.03, np.ones(ROWS, bool)):
        wrong = table.assign(**{by: np.where(broken, moved, table[by])})
        assert gpuvgm.TableSynthesizer().fit(wrong).fit_report_.laws == ()


def test_a_limit_of_another_category_breaks_the_law() -> None:
    table = laboratory(np.random.default_rng(4))
    fitted = gpuvgm.TableSynthesizer().fit(table)
    late = table.copy()
    late.loc[late.index[late["code"] == "CRP"][0], "value"] = "<0.01"
    assert [law.holds for law in gpuvgm.TableSynthesizer(like=fitted).fit(late).laws_] == [False]
    compared = (
        gpuvgm.TableTransformer()
        .fit(table)
        .evaluate(table, compare=table.assign(code=table["code"].sample(frac=1, random_state=1).to_numpy()))
    )
    assert {"code -> steps(value)"} <= {law.law for law in compared.laws if law.is_broken}


@pytest.mark.parametrize("suffix", ["", " mg", "%"])
def test_texts_with_places_of_their_own_come_back_letter_by_letter(suffix: str) -> None:
    random = np.random.default_rng(5)
    numbers, places = random.normal(0, 900, 2_000).tolist(), random.integers(0, 4, 2_000).tolist()
    texts = [f"{number:.{digits}f}{suffix}" for number, digits in zip(numbers, places, strict=True)]
    texts = [text for text in texts if text.strip("-0.mg %")] + [f"0{suffix}", f"0.00{suffix}", "<0.5", "n/a", "<0.5"]
    table = pa.table({"x": texts})
    form: Any = form_of(table["x"])
    values, wrong = form.read(table["x"].combine_chunks())
    assert not wrong.any() and form.write(values).to_pylist() == texts
    order = np.argsort(values[:-5].cast(pa.float64()).to_numpy(), kind="stable")
    assert np.all(np.diff([float(texts[place].removesuffix(suffix)) for place in order]) >= 0)
    transformer = gpuvgm.TableTransformer(["x"]).fit(table)
    back = transformer.inverse_transform(transformer.transform(table))
    assert {*back["x"].to_pylist()} >= {"<0.5", f"0{suffix}"} and form_of(back["x"]) is not None
