"""Pictures of two tables: their shares against those of all rows, what the page and matplotlib show, and what not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.report import Comparison
from gpuvgm.report.pictures import PAIR_BINS, Shares
from tests.report.documents import parsed
from tests.report.test_page import sections

ROWS = 4000
KINDS = {
    "amount": {"kind": "mixed", "modal": [0], "asinh": 4.0},
    "ratio": {"kind": "continuous", "log": True},
    "plain": "continuous",
    "when": "continuous",
    "city": "categorical",
    "holder": "categorical",
    "note": "pass",
    "key": "id",
}


def table_of(rows: int, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    amount = np.where(random.random(rows) < 0.3, 0.0, 10 * random.standard_t(2, rows).round(2))
    plain = random.normal(5, 2, rows)
    city = random.choice(["Bern", "Rome", "Oslo"], rows, p=[0.6, 0.3, 0.1]).astype(object)
    city[:4] = "Hideaway"
    amount[7] = 7_654_321.25
    return pa.table(
        {
            "amount": amount,
            "ratio": np.exp(random.normal(0, 0.3, rows)),
            "plain": plain,
            "when": np.datetime64("2024-01-01", "s")
            + 86_400 * random.integers(0, 300, rows)
            + random.integers(6 * 3600, 20 * 3600, rows),
            "city": pa.array(city, pa.string()),
            "holder": [f"Holder {random.integers(0, rows // 8)}" for _ in range(rows)],
            "note": [f"a note {i}" for i in range(rows)],
            "key": [f"K{seed}{i:06}" for i in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    """The second one has fewer rows, and another column in place of `plain`."""
    original, synthetic = table_of(ROWS, 0), table_of(ROWS // 2, 1)
    plain = pa.array(np.random.default_rng(2).normal(9, 2, ROWS // 2))
    return original, synthetic.set_column(synthetic.column_names.index("plain"), "plain", plain)


@pytest.fixture(scope="module")
def comparison(tables: tuple[pa.Table, pa.Table]) -> Comparison:
    fitted = gpuvgm.TableTransformer(KINDS, effort="research", max_iter=5).fit(tables[0])
    return fitted.evaluate(tables[0], compare=tables[1])


def picture(comparison: Comparison, title: str) -> Shares:
    pictures = (shares for column in comparison.columns.values() for shares in column.pictures)
    (found,) = (shares for shares in pictures if shares.axis.title == title)
    return found


@pytest.mark.parametrize(
    ("name", "scale", "curve"),
    [
        ("amount", "asinh(x / 4)", lambda x: np.arcsinh(x / 4)),
        ("ratio", "log", np.log),
        ("plain", "", lambda x: x),
    ],
)
def test_shares_of_numbers_on_the_scale_that_was_fitted(
    comparison: Comparison, tables: tuple[pa.Table, pa.Table], name: str, scale: str, curve: Any
) -> None:
    shares = picture(comparison, name)
    edges = np.array(shares.axis.edges)
    assert shares.axis.scale == scale
    at = curve(edges)
    np.testing.assert_allclose(shares.axis.places, (at - at[0]) / (at[-1] - at[0]), atol=1e-9)
    if scale != "asinh(x / 4)":  # whose steps of a tenth are wider than the bins near 0
        np.testing.assert_allclose(np.diff(shares.axis.places), 1 / 96, atol=1e-9)
    for values, table in zip((shares.original, shares.synthetic), tables, strict=True):
        rows = table[name].to_numpy()
        rows = rows[rows != 0] if name == "amount" else rows
        np.testing.assert_allclose(values, np.histogram(rows, edges)[0] / table.num_rows, atol=2 / len(rows))
    for tick in shares.axis.ticks:
        number = float(tick.text.replace(",", ""))
        assert tick.place == pytest.approx((curve(number) - at[0]) / (at[-1] - at[0]), abs=0.02)
    assert len(shares.axis.ticks) > 2
    assert len({tick.text for tick in shares.axis.ticks}) == len(shares.axis.ticks)


def test_an_axis_holds_both_tables(comparison: Comparison) -> None:
    shares = picture(comparison, "plain")
    assert sum(shares.original) > 0.98
    assert sum(shares.synthetic) > 0.98


def test_hours_and_weekdays(comparison: Comparison, tables: tuple[pa.Table, pa.Table]) -> None:
    hours, weekdays = picture(comparison, "hour of when"), picture(comparison, "weekday of when")
    for place, table in enumerate(tables):
        moments = pd.to_datetime(table["when"].to_pandas())
        expected = [np.bincount(moments.dt.hour, minlength=24), np.bincount(moments.dt.day_of_week, minlength=7)]
        for shares, counts in zip((hours, weekdays), expected, strict=True):
            assert (shares.original, shares.synthetic)[place] == pytest.approx(counts / table.num_rows)
    assert [tick.text for tick in weekdays.axis.ticks] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def test_hours_of_days_are_none() -> None:
    days = {"day": np.datetime64("2024-01-01", "s") + 86_400 * np.arange(300)}
    found = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(days).evaluate(days, compare=days)
    assert [shares.axis.title for shares in found.columns["day"].pictures] == ["day", "weekday of day"]


def test_joint_shares(comparison: Comparison, tables: tuple[pa.Table, pa.Table]) -> None:
    joint = comparison.joint.pair("plain", "city")
    names = [tick.text for tick in joint.upwards.ticks]
    assert names == ["Bern", "Rome", "Oslo", "others"]
    edges = np.array(picture(comparison, "plain").axis.edges)[:: 96 // PAIR_BINS]
    for found, table in zip((joint.original, joint.synthetic), tables, strict=True):
        places = [names.index(city) if city in names else 3 for city in table["city"].to_pylist()]
        counts = np.histogram2d(table["plain"].to_numpy(), places, [edges, np.arange(5) - 0.5])[0]
        np.testing.assert_allclose(found, counts / table.num_rows, atol=1e-7)
    turned = comparison.joint.pair("city", "plain")
    np.testing.assert_array_equal(turned.original, joint.original.T)
    assert (turned.across, turned.upwards) == (joint.upwards, joint.across)
    with pytest.raises(InputError, match='no picture of "plain" and "holder"'):
        comparison.joint.pair("plain", "holder")


def test_the_page_shows_two_tables_and_no_modes(comparison: Comparison) -> None:
    tree = parsed(comparison.to_html())
    assert not tree.all("path", "mode") and not tree.all("path", "bars")
    for name, section in sections(tree).items():
        drawn = [shares for shares in comparison.columns[name].pictures if not shares.axis.named]
        assert len(section.all("path", "original")) == len(section.all("path", "synthetic")) == len(drawn)
    (maps,) = tree.all("div", "maps")
    assert len(maps.all("svg", "chart")) == 2
    assert "The pair that has lost most. " in tree.text


def test_five_values_of_the_worst_columns_stand_side_by_side(
    comparison: Comparison, tables: tuple[pa.Table, pa.Table]
) -> None:
    tree = parsed(comparison.to_html())
    (shown,) = (one for one in tree.all("table") if one.attributes["aria-label"] == "The worst columns")
    rows = [[cell.text for cell in row.children] for row in shown.all("tbody")[0].all("tr")]
    assert [row[0] for row in rows if row[0]] == [
        name for name in comparison.worst_first if name not in ("holder", "note", "key")
    ]
    assert comparison.worst_first[0] == "plain"
    medians = [float(np.median(table["plain"].to_numpy())) for table in tables]
    assert [row[1] for row in rows[:5]] == ["5 %", "25 %", "median", "75 %", "95 %"]
    assert [float(text) for text in rows[2][2:]] == pytest.approx(medians, abs=0.01)
    assert ["", "Rome", *(f"{100 * share(table, 'Rome'):.1f} %" for table in tables)] in rows


def share(table: pa.Table, city: str) -> float:
    return table["city"].to_pylist().count(city) / table.num_rows


def test_no_personal_values_are_shown(comparison: Comparison, tables: tuple[pa.Table, pa.Table]) -> None:
    """None of keys, names, texts, nor of categories of four rows, nor the largest amount, on the page and elsewhere."""
    assert comparison.columns["holder"].holds_keys
    shown = [
        comparison.to_html(),
        comparison._repr_html_(),
        str(comparison),
        str(comparison.to_dict()["columns"]["city"]),
    ]
    for text in shown:
        assert "Hideaway" not in text
        assert "7654321" not in text.replace(",", "")
    for text in [*shown, str(comparison.to_dict()["columns"]["holder"])]:
        for values in (tables[0][name].to_pylist() for name in ("holder", "note", "key")):
            assert not any(value in text for value in values)
    section = sections(parsed(comparison.to_html()))["amount"]
    assert "maximum" not in section.text and "99.9 %" not in section.text and "99 %" in section.text


pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture
def figures() -> Any:
    yield pyplot
    pyplot.close("all")


def test_plots_draw_what_the_page_does(comparison: Comparison, figures: Any) -> None:
    axes = comparison.plot()
    assert [ax.get_title().partition(",")[0] for ax in axes] == [
        name for name in comparison.worst_first if comparison.columns[name].pictures
    ]
    _, ax = figures.subplots()
    assert comparison.plot("hour of when", ax) is ax
    shares = picture(comparison, "hour of when")
    np.testing.assert_allclose([patch.get_data().values for patch in ax.patches], [shares.original, shares.synthetic])
    bars = comparison.plot("city")
    assert [label.get_text() for label in bars.get_yticklabels()] == ["Bern", "Rome", "Oslo", "others"]
    widths = [bar.get_width() for bar in bars.patches]
    assert widths == [*picture(comparison, "city").original, *picture(comparison, "city").synthetic]
    assert bars.get_xlim()[1] > 1.3 * max(widths)  # room for the legend
    for one in (axes[0], ax, bars):
        one.figure.canvas.draw()
    for name in ("key", "nothing", None):
        with pytest.raises(InputError, match="there is no picture of"):
            comparison.plot(name, ax)


def test_a_pair_is_drawn_on_one_scale_of_colours(comparison: Comparison, figures: Any) -> None:
    axes = comparison.plot_pair("plain", "city")
    joint = comparison.joint.pair("plain", "city")
    for ax, table in zip(axes, (joint.original, joint.synthetic), strict=True):
        (mesh,) = (found for found in ax.collections if hasattr(found, "get_clim"))
        assert mesh.get_clim() == (0.0, pytest.approx(joint.largest))
        np.testing.assert_allclose(mesh.get_array(), table.T)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("plain", "city")
    axes[0].figure.canvas.draw()


@pytest.mark.parametrize("name", [r"price in $\frac{$", "<b>"])
def test_names_are_taken_as_they_are(name: str, figures: Any) -> None:
    table = {name: np.random.default_rng(0).normal(size=300), "c": [f"${i % 3}$" for i in range(300)]}
    found = gpuvgm.TableTransformer(effort="research", max_iter=5).fit(table).evaluate(table, compare=table)
    for axes in (found.plot(), found.plot_pair(name, "c")):
        axes[0].figure.canvas.draw()
    assert "<b>" not in found.to_html()


def test_tables_without_values_and_with_one() -> None:
    table = pa.table({"x": [1.0, 2.0, 4.0] * 20, "one": [3.5] * 60, "y": ["a", "b", None] * 20, "z": [0.3] * 60})
    nothing = pa.table({name: pa.nulls(9, table[name].type) for name in table.column_names})
    kinds = {"x": "continuous", "one": {"kind": "continuous", "asinh": 1.0}, "z": {"kind": "continuous", "log": True}}
    fitted = gpuvgm.TableTransformer(kinds, effort="research").fit(table)
    for one, other in ((table, nothing), (nothing, table), (table, table), (nothing, nothing)):
        found = fitted.evaluate(one, compare=other)
        assert "nan" not in found.to_html()
        assert bool(found.columns["x"].pictures) == bool(found.columns["one"].pictures) == (table in (one, other))
