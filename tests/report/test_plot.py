from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.exceptions import NotFittedError

import gpuvgm
from gpuvgm.columns.histograms import HISTOGRAM_BINS
from gpuvgm.datasets import amount
from gpuvgm.errors import EnvironmentProblem, InputError

pytest.importorskip("matplotlib").use("agg")


@pytest.fixture(autouse=True)
def pyplot() -> Iterator[Any]:
    """What draws, without a figure of the test after it."""
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (amount(0, 20_000), "log"),
        (amount(0, 20_000) - 0.5, "linear"),
        (np.random.default_rng(0).normal(5, 1, 5000), "linear"),
        (np.full(50, 3.0), "linear"),
    ],
    ids=["skewed", "skewed below zero", "bell", "constant"],
)
def test_every_active_mode_is_drawn_over_the_rows(values: np.ndarray, scale: str) -> None:
    transformer = gpuvgm.TableTransformer({"x": "continuous"}).fit({"x": values})
    column = transformer.columns_["x"]
    for rows in (values, transformer.summaries_["x"]):
        ax = column.plot(rows=rows)
        assert ax.get_xscale() == scale
        assert len(ax.lines) == len(column.active_components) + 1
        ax.figure.canvas.draw()


@pytest.mark.parametrize("values", [amount(0, 20_000), np.random.default_rng(0).normal(5, 1, 5000)])
def test_a_column_draws_itself(values: np.ndarray, pyplot: Any) -> None:
    """Without rows the curves are shares, on nearly the axis that the rows have."""
    column = gpuvgm.TableTransformer({"x": "continuous"}).fit({"x": values}).columns_["x"]
    _, (alone, over) = pyplot.subplots(1, 2)
    assert column.plot(alone) is alone
    assert column.plot(ax=over, rows=values) is over
    assert alone.get_xscale() == over.get_xscale()
    assert not alone.patches
    assert over.patches
    on_axis = np.log10 if alone.get_xscale() == "log" else np.asarray
    np.testing.assert_allclose(on_axis(alone.get_xlim()), on_axis(over.get_xlim()), atol=0.4)
    at, shares = on_axis(alone.lines[-1].get_xdata()), alone.lines[-1].get_ydata()
    whole = np.trapezoid(shares, at) / (np.ptp(on_axis(alone.get_xlim())) / HISTOGRAM_BINS)
    assert 0.9 < whole < 1.001, "a logarithmic axis leaves out what is next to zero"


def test_levels_are_bars() -> None:
    values = [f"${i % 30}$" for i in range(400)] + [None] * 50
    column = gpuvgm.TableTransformer({"x": "categorical"}).fit({"x": values}).columns_["x"]
    ax = column.plot()
    texts = [label.get_text() for label in ax.get_yticklabels()]
    assert texts[0] == "missing"
    assert texts[-1] == "11 others"
    assert sum(bar.get_width() for bar in ax.patches) == 450
    ax.figure.canvas.draw()


@pytest.mark.parametrize("scale", [{"log": True}, {"asinh": 5.0}])
def test_columns_on_another_scale_are_drawn_in_their_values(scale: dict[str, object]) -> None:
    values = np.random.default_rng(0).lognormal(3, 1, 4000)
    column = gpuvgm.TableTransformer({"x": {"kind": "continuous", **scale}}).fit({"x": values}).columns_["x"]
    over, alone = column.plot(rows=values), column.plot()
    for ax in (over, alone):
        low, high = ax.get_xlim()
        assert 0 <= low < np.median(values) < high <= 1.5 * np.max(values)
    bars, whole = over.patches[0].get_data(), over.lines[-1]
    expected = np.interp((bars.edges[1:] + bars.edges[:-1]) / 2, whole.get_xdata(), whole.get_ydata())
    assert np.sum(np.abs(bars.values - expected)) < 0.1 * len(values)


def test_what_cannot_be_drawn_is_refused() -> None:
    fitted = gpuvgm.TableTransformer({"x": "general", "y": "continuous"}).fit({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    with pytest.raises(InputError, match='column "x" is general'):
        fitted.columns_["x"].plot(rows=np.ones(2))
    empty = gpuvgm.TableTransformer({"z": "continuous"}).fit({"z": [np.nan, np.nan]})
    with pytest.raises(InputError, match='column "z" had no ordinary value'):
        empty.columns_["z"].plot()


def test_a_transformer_draws_its_columns(reloaded: Any, monkeypatch: pytest.MonkeyPatch, pyplot: Any) -> None:
    values = np.random.default_rng(0).normal(5, 1, 2000)
    fitted = gpuvgm.TableTransformer(effort="research").fit({"x": values, "city": ["a", "b"] * 1000})
    _, (left, right) = pyplot.subplots(1, 2)
    assert fitted.plot("x", ax=left) is left
    assert fitted.plot("city", right) is right
    assert len(left.lines) == len(fitted.columns_["x"].active_components) + 1
    with pytest.raises(InputError, match='there is no column "y": the model has x, city'):
        fitted.plot("y")
    loaded = reloaded(fitted)
    assert loaded.plot("x", right).get_ylabel() == "share of rows per bin"
    assert loaded.plot("x", left, rows=values) is left
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EnvironmentProblem, match=r'pip install "gpuvgm\[report\]"'):
        fitted.plot("x")
    with pytest.raises(NotFittedError):
        gpuvgm.TableTransformer().plot("x")


def test_names_are_no_formulas() -> None:
    name = r"price in $\frac{$"
    for values in (np.random.default_rng(0).normal(size=300), np.array(["a", "b", "c"] * 100)):
        fitted = gpuvgm.TableTransformer(effort="research", n_components=2).fit({name: values})
        ax = fitted.plot(name)
        ax.figure.canvas.draw()


def test_columns_without_values_and_rows_of_nonsense_are_refused() -> None:
    empty = gpuvgm.TableTransformer({"x": "continuous"}, effort="research").fit({"x": np.full(9, np.nan)})
    with pytest.raises(InputError, match='column "x" had no ordinary value'):
        empty.plot("x")
    fitted = gpuvgm.TableTransformer(effort="research", n_components=2).fit({"x": np.arange(90.5)})
    with pytest.raises(InputError, match="there is no value to draw"):
        fitted.plot("x", rows=np.array([np.nan]))
    for rows in (np.array(["a"]), np.zeros((3, 2))):
        with pytest.raises(InputError, match="an array of one dimension that holds numbers"):
            fitted.plot("x", rows=rows)


def _moments() -> dict[str, Any]:
    """Values of each kind, with the numbers that its axis is to show."""
    random = np.random.default_rng(0)
    amounts = random.lognormal(5, 1, 4000).round(2)
    seconds = random.integers(0, 90 * 86_400, 4000)
    moments = np.datetime64("2024-01-01", "s") + seconds
    days = 19_723 + seconds / 86_400  # 2024-01-01 is that many days after 1970-01-01
    german = [f"{amount:_.2f} €".replace(".", ",").replace("_", ".") for amount in amounts]
    return {
        "money in text": (german, amounts),
        "decimals": (pa.array(amounts).cast(pa.decimal128(15, 2), safe=False), amounts),
        "moments": (moments.astype("M8[us]"), days),
        "days": (pa.array(moments.astype("M8[D]")), np.floor(days)),
        "durations": (seconds.astype("m8[s]"), seconds),
        "hours": (pa.array((seconds % 86_400).astype(np.int32)).cast(pa.time32("s")), seconds % 86_400 / 3_600),
    }


@pytest.mark.parametrize("name", _moments())
def test_axes_show_values_in_their_own_words(name: str) -> None:
    """Amounts with their decimal point and dates in days, bars and curves on one axis."""
    values, numbers = _moments()[name]
    column = gpuvgm.TableTransformer({"x": "continuous"})
    fitted = column.fit(pa.table({"x": values}))
    ax = fitted.plot("x")
    edges, curve = ax.patches[0].get_data().edges, ax.lines[-1].get_xdata()
    inside = (numbers >= edges[0]) & (numbers <= edges[-1])
    assert inside.mean() > 0.95 and edges[-1] - edges[0] <= 1.1 * np.ptp(numbers)
    assert edges[0] <= curve.min() <= curve.max() <= edges[-1] and np.ptp(curve) > 0.9 * np.ptp(edges)
    assert ax.get_xlabel().startswith("x") and ("hours" in ax.get_xlabel()) == (name == "hours")
    ax.figure.canvas.draw()
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert any(text in labels for text in ("2024", "Feb", "Mar")) == (name in ("moments", "days"))
    if name in ("moments", "durations"):
        given = fitted.plot("x", rows=np.asarray(values)).patches[0].get_data().edges
        np.testing.assert_allclose(given[[0, -1]], edges[[0, -1]], rtol=1e-3)
