"""Rows that belong to keys: which laws samples keep, how rows are numbered, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning, InputError, ModelFileError
from gpuvgm.synthesis.sequences import conditions, source
from tests.synthesis.sequences.trades import bookings, claims, hospital_stays, order_lines

KEYS = 400


def fitted(table: pd.DataFrame, key: str, index: str | None) -> gpuvgm.TableSynthesizer[Any]:
    return gpuvgm.TableSynthesizer(sequence_key=key, sequence_index=index, threads=1).fit(table)


@pytest.fixture(scope="module")
def orders() -> tuple[pd.DataFrame, gpuvgm.TableSynthesizer[Any]]:
    table = order_lines(KEYS, 0)
    return table, fitted(table, "order", "line")


@pytest.fixture(scope="module")
def accounts() -> tuple[pd.DataFrame, gpuvgm.TableSynthesizer[Any]]:
    table = bookings(KEYS, 0)
    return table, fitted(table, "account", "number")


@pytest.fixture(scope="module")
def stays() -> tuple[pd.DataFrame, gpuvgm.TableSynthesizer[Any]]:
    table = hospital_stays(KEYS, 0)
    return table, fitted(table, "patient", "arrival")


def test_orders_add_up(orders: Any) -> None:
    table, synthesizer = orders
    rows = synthesizer.sample(keys=KEYS, seed=1)
    of_orders = rows.groupby("order", sort=False)
    assert list(rows) == list(table)
    assert rows.dtypes.equals(table.dtypes)
    assert not rows.order.isin(table.order).any()
    assert len(of_orders) == KEYS
    np.testing.assert_allclose(of_orders.net.sum(), of_orders.total.first())
    assert (of_orders.size() == of_orders.lines.first()).all()
    assert (rows.line == of_orders.cumcount() + 1).all()
    assert (of_orders[["ordered", "payment", "total", "lines"]].nunique() == 1).all(axis=None)
    assert not rows.duplicated(["order", "article"]).any()
    assert "lines = count(); total = sum(net)" in str(synthesizer)


def test_balances_run_on(accounts: Any) -> None:
    table, synthesizer = accounts
    rows = synthesizer.sample(keys=KEYS, seed=1)
    of_accounts = rows.groupby("account", sort=False)
    before = of_accounts.balance.shift()
    np.testing.assert_allclose((before + rows.amount)[before.notna()], rows.balance[before.notna()], atol=1e-6)
    assert (rows.number == of_accounts.cumcount() + 1).all()
    assert [str(law) for law in synthesizer.laws_] == ["previous(balance) + amount = balance"]
    assert rows.balance.between(table.balance.min(), table.balance.max()).mean() > 0.99


def test_times_rise_to_the_end_of_the_table(accounts: Any) -> None:
    table, synthesizer = accounts
    rows = synthesizer.sample(keys=10 * KEYS, seed=1)
    assert not rows.duplicated(["account", "booked"]).any()
    assert rows.booked.max() == table.booked.max()


def test_rows_are_like_the_rows_before(accounts: Any) -> None:
    table, synthesizer = accounts
    rows = synthesizer.sample(keys=KEYS, seed=2)

    def repeated(frame: pd.DataFrame) -> float:
        sort, before = frame["sort"], frame.groupby("account", sort=False)["sort"].shift()
        return float((sort == before)[before.notna()].mean())

    def days(frame: pd.DataFrame) -> float:
        return float(frame.groupby("account", sort=False).booked.diff().dt.days.mean())

    assert abs(repeated(rows) - repeated(table)) < 0.04
    assert abs(days(rows) / days(table) - 1) < 0.1
    sizes, sizes_of_table = (frame.groupby("account").size() for frame in (rows, table))
    assert abs(sizes.mean() / sizes_of_table.mean() - 1) < 0.02


def test_grades_that_never_fall_do_not_in_a_sample() -> None:
    """Of numbers with few values, too, which are categories."""
    random, rows = np.random.default_rng(0), list[Any]()
    for person in range(200):
        grade = int(random.integers(1, 6))
        for year in range(2010, 2010 + int(random.integers(3, 9))):
            grade = min(grade + int(random.random() < 0.2), 8)
            rows.append((person, year, grade, round(float(random.normal(1000 * grade, 400)), 2)))
    table = pd.DataFrame(rows, columns=["person", "year", "grade", "pay"])
    sample = fitted(table, "person", "year").sample(3000, seed=0)
    steps = sample.groupby("person").grade.diff().dropna()
    assert (steps >= 0).all() and 0.1 <= (steps > 0).mean() <= 0.25


def test_nothing_is_before_a_time_of_its_key_or_after_it() -> None:
    random, rows = np.random.default_rng(0), list[Any]()
    for member in range(300):
        day = joined = pd.Timestamp("2019-01-01") + pd.Timedelta(days=int(random.integers(0, 1400)))
        left = joined + pd.Timedelta(days=int(random.integers(200, 900)))
        while (day := day + pd.Timedelta(days=int(random.integers(3, 90)))) <= left:
            rows.append((f"M-{1000 + 7 * member}", joined, left, day, round(float(random.lognormal(2, 1)), 2)))
    table = pd.DataFrame(rows, columns=["member", "joined", "left", "day", "price"])
    rows_of_keys = fitted(table, "member", "day").sample(3000, seed=0)
    assert (rows_of_keys.day >= rows_of_keys.joined).mean() > 0.995
    assert (rows_of_keys.day <= rows_of_keys.left).mean() > 0.98


def test_stays_do_not_overlap(stays: Any) -> None:
    table, synthesizer = stays
    rows = synthesizer.sample(keys=10 * KEYS, seed=1)
    left = rows.groupby("patient", sort=False).departure.shift()
    assert (rows.arrival > left)[left.notna()].all()
    assert rows.departure.max() <= table.departure.max()
    assert ((rows.departure - rows.arrival).dt.days == rows.nights).all()


def test_rows_keep_to_the_season_of_their_own_date(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    visits = pd.DataFrame({"hive": np.repeat([f"hive {number:04d}" for number in range(150)], 16)})
    start = random.integers(0, 365, 150).repeat(16)
    day = start + pd.Series(random.integers(10, 60, len(visits))).groupby(visits.hive).cumsum()
    visits["visited"] = pd.Timestamp("2022-01-01") + pd.to_timedelta(day, unit="D")
    in_summer = visits.visited.dt.month.between(5, 8)
    visits["honey"] = np.where(in_summer & (random.random(len(visits)) < 0.5), random.integers(1, 20, len(visits)), 0)
    synthesizer = fitted(visits, "hive", "visited")
    assert 'since previous(visited), calendar: "month", "moment"' in str(synthesizer._model.steps.network)
    rows = synthesizer.sample(keys=150, seed=1)
    with_honey = rows[rows.honey > 0]
    assert with_honey.visited.dt.month.between(5, 8).mean() > 0.98
    assert 0.4 < (rows.honey[rows.visited.dt.month.between(5, 8)] > 0).mean() < 0.6
    synthesizer.save(tmp_path / "hives.gpuvgm")
    assert gpuvgm.load(tmp_path / "hives.gpuvgm").sample(keys=150, seed=1).equals(rows)
    pd.testing.assert_frame_equal(
        synthesizer.sample(50, first_row=100, seed=1).reset_index(drop=True), rows[100:150].reset_index(drop=True)
    )


def test_dates_are_counted_from_those_of_their_own_row() -> None:
    random = np.random.default_rng(0)
    visits = pd.DataFrame({"lift": np.repeat([f"lift {number:04d}" for number in range(150)], 12)})
    contract = random.choice(3, 150).repeat(12)
    visits["visit"] = np.tile(np.arange(1, 13), 150)
    visits["contract"] = np.array(["full", "half", "none"])[contract]
    interval = np.array([30, 60, 90])[contract]
    # A visit is some days before it is due, so that the next is due sooner after the last one than after the visit.
    steps = pd.Series(interval - random.integers(0, 9, len(visits)))
    days = random.integers(0, 300, 150).repeat(12) + steps.groupby(visits.lift).cumsum()
    visits["day"] = pd.Timestamp("2022-01-03") + pd.to_timedelta(days, unit="D")
    visits["due"] = visits.day + pd.to_timedelta(interval, unit="D")
    rows = fitted(visits, "lift", "visit").sample(keys=150, seed=1)
    agreed = rows.contract.map({"full": 30, "half": 60, "none": 90})
    assert ((rows.due - rows.day).dt.days == agreed).mean() > 0.98


def test_rows_are_functions_of_seed_and_number(orders: Any, tmp_path: Path) -> None:
    _, synthesizer = orders
    rows = synthesizer.sample(1500, seed=3)
    for first, count in ((0, 1), (1, 1), (499, 502), (1499, 1)):
        part = synthesizer.sample(count, first_row=first, seed=3)
        pd.testing.assert_frame_equal(part, rows.iloc[first : first + count].reset_index(drop=True))
    synthesizer.sample(1500, seed=3, out=tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "rows.parquet"), rows)
    keys = rows.order.unique()[20:30]
    of_keys = rows[rows.order.isin(keys)].reset_index(drop=True)
    pd.testing.assert_frame_equal(synthesizer.sample(keys=10, first_key=20, seed=3), of_keys)
    assert not synthesizer.sample(1500, seed=4).equals(rows)
    # Keys of a period have other rows in the next one.
    period = synthesizer.sample(keys=3, first_key=KEYS, seed=3)
    assert not period.order.isin(rows.order.unique()[:3]).any()


def test_the_order_of_rows_changes_nothing(orders: Any) -> None:
    table, synthesizer = orders
    shuffled = fitted(table.sample(frac=1, random_state=0).reset_index(drop=True), "order", "line")
    pd.testing.assert_frame_equal(shuffled.sample(300, seed=0), synthesizer.sample(300, seed=0))


def test_descending_keys_change_nothing() -> None:
    """Two categories are equally frequent, and the one that comes first depends on the order of the keys."""
    table = bookings(200, 0)
    rows_of = table.sort.value_counts()
    assert rows_of["cash"] == rows_of["transfer"]
    descending = table.sort_values(["account", "number"], ascending=[False, True], ignore_index=True)
    assert descending.sort.unique().tolist() != table.sort.unique().tolist()
    fits = [fitted(rows, "account", "number") for rows in (table, descending)]
    pd.testing.assert_frame_equal(*(synthesizer.sample(keys=200, seed=0) for synthesizer in fits))


def test_models_are_stored(accounts: Any, tmp_path: Path) -> None:
    _, synthesizer = accounts
    synthesizer.save(tmp_path / "model.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "model.gpuvgm")
    pd.testing.assert_frame_equal(loaded.sample(200, seed=0), synthesizer.sample(200, seed=0))
    assert str(loaded).splitlines()[1:] == str(synthesizer).splitlines()[1:]
    assert (loaded.sequence_key, loaded.sequence_index) == ("account", "number")
    body = bytearray((tmp_path / "model.gpuvgm").read_bytes())
    body[len(body) // 2] ^= 1
    (tmp_path / "damaged.gpuvgm").write_bytes(body)
    with pytest.raises(ModelFileError):
        gpuvgm.load(tmp_path / "damaged.gpuvgm")


def test_keys_meet_conditions(accounts: Any) -> None:
    table, synthesizer = accounts
    rows = synthesizer.sample(keys=150, conditions={"kind": "business"}, seed=0)
    assert set(rows.kind) == {"business"}
    assert rows.account.nunique() == 150
    sizes = rows.groupby("account").size()
    assert abs(sizes.mean() / table[table.kind == "business"].groupby("account").size().mean() - 1) < 0.1
    part = synthesizer.sample(100, first_row=50, conditions={"kind": "business"}, seed=0)
    pd.testing.assert_frame_equal(part, rows.iloc[50:150].reset_index(drop=True))
    with pytest.raises(InputError, match=r'"amount" differs among the rows of a key: give "any\(amount\)" for keys'):
        synthesizer.sample(10, conditions={"amount": (0, None)})
    with pytest.raises(InputError, match="not drawn beside a table"):
        synthesizer.sample(1, conditions=pd.DataFrame({"kind": ["private"]}))


def test_some_row_of_each_key_meets_conditions(accounts: Any, tmp_path: Path) -> None:
    table, synthesizer = accounts
    wanted = {"any(sort)": ["cash"], "any(amount)": (900, None), "kind": "private"}
    rows = synthesizer.sample(keys=60, conditions=wanted, seed=0)
    of_accounts = rows.groupby("account", sort=False)
    assert len(of_accounts) == 60
    assert set(rows.kind) == {"private"}
    assert of_accounts.amount.max().min() >= 900
    assert (rows.sort == "cash").groupby(rows.account).any().all()
    assert (rows.number == of_accounts.cumcount() + 1).all()
    part = synthesizer.sample(100, first_row=50, conditions=wanted, seed=0)
    pd.testing.assert_frame_equal(part, rows.iloc[50:150].reset_index(drop=True))
    later = synthesizer.sample(keys=20, first_key=40, conditions=wanted, seed=0)
    assert later.account.tolist() == rows.account[rows.account.isin([*of_accounts.groups][40:])].tolist()
    synthesizer.sample(keys=60, conditions=wanted, seed=0, out=tmp_path / "rows.parquet")
    assert pd.read_parquet(tmp_path / "rows.parquet").account.tolist() == rows.account.tolist()


def test_conditions_that_hardly_a_key_meets_are_refused(accounts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "MOST_TRIED", 2 * KEYS)
    table, synthesizer = accounts
    most = float(table.amount.max())
    with pytest.raises(InputError, match=r'of [0-9,]+ had rows that meet "any\(amount\)": give wider ones'):
        synthesizer.sample(keys=100, conditions={"any(amount)": (2 * most, None)})
    with pytest.raises(InputError, match='there is no modelled column "amounts"'):
        synthesizer.sample(keys=1, conditions={"any(amounts)": (0, None)})


def test_rows_are_scored_given_those_before(accounts: Any) -> None:
    table, synthesizer = accounts
    scores = synthesizer.score_samples(table)
    assert np.isfinite(scores).all()
    # Rows of several keys may be mixed, if those of each are in order.
    mixed = table.sort_values(["number", "account"], kind="stable")
    np.testing.assert_array_equal(synthesizer.score_samples(mixed), scores[mixed.index])
    wrong = table.assign(balance=table.balance + np.where(table.number == 2, 0.01, 0))
    broken = np.isneginf(synthesizer.score_samples(wrong))
    assert broken[table.number == 2].all() and not broken[table.number == 1].any()


def test_missing_keys_are_keys_of_one_row(tmp_path: Path) -> None:
    table = bookings(60, 1)
    table.loc[table.index % 9 == 0, "account"] = None
    table.loc[table.index % 11 == 0, "amount"] = np.nan
    synthesizer = fitted(table, "account", None)
    rows = synthesizer.sample(500, seed=0)
    assert 0 < rows.account.isna().mean() < 0.3
    assert 0 < rows.amount.isna().mean() < 0.3
    synthesizer.save(tmp_path / "bookings.gpuvgm")
    assert gpuvgm.load(tmp_path / "bookings.gpuvgm").sample(500, seed=0).equals(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sequence_key": "accounts"},
            'sequence_key: pandas.DataFrame has no column "accounts"; did you mean "account"',
        ),
        ({"sequence_index": "when"}, 'sequence_index: pandas.DataFrame has no column "when"'),
        ({"sequence_index": "account"}, 'sequence_index: "account" is the column of the keys'),
        ({"sequence_key": "kind", "sequence_index": None}, 'has 2 keys in "kind"; samples of fewer than 5 would tell'),
        ({"hold_out": 1.5}, "hold_out is a share above 0 and below 1, or 0 for none; got 1.5"),
        ({"hold_out": 0.9}, 'keys in "account"; samples of fewer than 5 would tell'),
        ({"columns": ["account", "kind"]}, "columns: with sequence_key give None or a dict"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change: dict[str, Any], message: str) -> None:
    parameters: dict[str, Any] = {"sequence_key": "account", "sequence_index": "number", **change}
    with pytest.raises(InputError) as refusal:
        gpuvgm.TableSynthesizer(**parameters).fit(bookings(20, 0))
    assert message in str(refusal.value)


def test_tables_of_single_rows_and_reserved_names_are_refused() -> None:
    table = bookings(30, 0)
    with pytest.raises(InputError, match='each value of "account" has one row'):
        fitted(table.groupby("account").head(1), "account", None)
    with pytest.raises(InputError, match=r'column "previous\(amount\)": the name is that of a column made'):
        fitted(table.assign(**{"previous(amount)": 1.0}), "account", None)


def stock_cards(cards: int, seed: int) -> pd.DataFrame:
    """Stock that runs on from 0 by what is received and issued."""
    rng = np.random.default_rng(seed)
    rows = []
    for card in range(cards):
        stock = 0
        for number in range(12):
            received = int(rng.integers(0, 400))
            issued = int(rng.integers(0, stock + received + 1)) // 2
            stock += received - issued
            rows.append((f"K{card:04}", number + 1, received, issued, stock))
    return pd.DataFrame(rows, columns=["card", "number", "received", "issued", "stock"])


@pytest.mark.parametrize(
    ("step", "first", "index", "law"),
    [
        (1, 1, None, "place() = line"),
        (1, 1, "line", "place() = line"),
        (10, 10, "line", "10 * place() = line"),
        (1, 0, "line", "place() - 1 = line"),
    ],
)
def test_numbers_of_lines_follow_from_the_place_of_a_row(step: int, first: int, index: str | None, law: str) -> None:
    """Also those of long orders, of which there are too few for a category of their own."""
    random = np.random.default_rng(0)
    counts = np.append(1 + np.minimum(random.poisson(1.2, 600), 5), [9, 12])
    order = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    lines = {"line": first + step * places, "price": random.lognormal(3, 1, len(order)).round(2)}
    table = pd.DataFrame({"order": [f"O-{1000 + 3 * number}" for number in order], **lines})
    synthesizer: Any = fitted(table, "order", index)
    assert law in map(str, synthesizer._model.steps.laws)
    rows = synthesizer.sample(3000, seed=1)
    assert (rows.line == first + step * rows.groupby("order").cumcount()).all()
    broken = table.assign(line=table.line.where(table.index != 700, 3))
    assert law not in map(str, fitted(broken, "order", index)._model.steps.laws)


def test_what_is_received_and_issued_runs_on() -> None:
    table = stock_cards(200, 0)
    synthesizer = fitted(table, "card", "number")
    assert "previous(stock) + step(stock) = stock" in map(str, synthesizer._fitted.plan.laws)
    rows = synthesizer.sample(keys=200)
    before = rows.groupby("card").stock.shift().fillna(0)
    assert (before + rows.received - rows.issued == rows.stock).all()
    table.loc[100, "stock"] += 7
    with pytest.warns(
        InferenceWarning, match=r"\+ received - issued = stock\" holds in all rows but 2 of 2,200, such as"
    ):
        fitted(table, "card", "number")


def test_laws_go_to_keys_or_rows(stays: Any) -> None:
    table, _ = stays
    table = table.assign(died=table.born + pd.Timedelta(days=40_000))
    laws = ["auto", "born <= died", "arrival <= departure"]
    synthesizer = gpuvgm.TableSynthesizer(sequence_key="patient", sequence_index="arrival", laws=laws, threads=1)
    assert "arrival" in " ".join(map(str, synthesizer.fit(table).laws_))
    with pytest.raises(
        InputError, match=r"'born <= arrival' orders columns of a row with \"born\", which is drawn before"
    ):
        synthesizer.set_params(laws=["born <= arrival"]).fit(table)


def counts_of(synthesizer: gpuvgm.TableSynthesizer[Any]) -> tuple[Any, ...]:
    model = synthesizer._fitted
    networks = model.keys.network, model.steps.network
    return (model.layout.rows, *(network.counts for network in networks))


@pytest.mark.parametrize("held", [True, False])
def test_whole_keys_are_added(accounts: Any, monkeypatch: pytest.MonkeyPatch, *, held: bool) -> None:
    table, synthesizer = accounts
    if not held:
        monkeypatch.setattr(source, "MOST_HELD", 100)
    halves = [table[table.account.rank(method="dense") % 2 == half] for half in (0, 1)]
    first, second = (gpuvgm.TableSynthesizer(like=synthesizer, threads=1).fit(half) for half in halves)
    merged, added = first.merge(second), gpuvgm.TableSynthesizer(like=synthesizer, threads=1).fit(halves[0])
    added.partial_fit(halves[1])
    whole = counts_of(synthesizer)
    for sums in (counts_of(merged), counts_of(added)):
        assert sums[0] == whole[0]
        assert all(equal_counts(counts, expected) for counts, expected in zip(sums[1:], whole[1:], strict=True))
    rows = merged.sample(keys=50)
    balances = rows.groupby("account").balance
    np.testing.assert_allclose((balances.shift() + rows.amount)[rows.number > 1], rows.balance[rows.number > 1])


def equal_counts(counts: Any, expected: Any) -> bool:
    return bool(counts.rows == expected.rows and all(map(np.array_equal, counts.answers, expected.answers)))


def test_what_models_of_keys_refuse(accounts: Any, stays: Any) -> None:
    table, synthesizer = accounts
    with pytest.raises(InputError, match=r"fit one of them with TableSynthesizer\(like=the_other\)"):
        synthesizer.merge(stays[1])
    with pytest.raises(InputError, match='no column "balance"'):
        gpuvgm.TableSynthesizer(like=synthesizer).fit(table.drop(columns="balance"))
    with pytest.raises(InputError, match="give n, a number of rows, or keys"):
        synthesizer.sample()
    with pytest.raises(InputError, match="no sequence_key"):
        gpuvgm.TableSynthesizer(bins=20).fit({"x": [1, 2, 3] * 20}).sample(keys=3)


def test_laws_of_numbers_that_are_near_those_before() -> None:
    """Both clock times rise along a day; only from one and the delay is the other known."""
    rng = np.random.default_rng(0)
    rows = list[Any]()
    for tram in range(150):
        planned = int(rng.integers(300, 600))
        for stop in range(1, 1 + int(rng.integers(3, 8))):
            planned += int(rng.integers(20, 90))
            late = int(rng.geometric(0.2)) - 1
            clocks = (minute // 60 * 100 + minute % 60 for minute in (planned, planned + late))
            rows.append((f"T{tram:04}", stop, *clocks, late))
    table = pd.DataFrame(rows, columns=["tram", "stop", "planned", "left", "late"])
    synthesizer = gpuvgm.TableSynthesizer(sequence_key="tram", sequence_index="stop").fit(table)
    assert "clock(planned) + late = clock(left)" in map(str, synthesizer.laws_)
    sample = synthesizer.sample(keys=150)
    minutes = {name: sample[name] // 100 * 60 + sample[name] % 100 for name in ("planned", "left")}
    assert ((minutes["planned"] + sample.late - minutes["left"]) % 1440 == 0).all()
    after = sample.tram == sample.tram.shift()
    assert (minutes["planned"].diff()[after] > 0).mean() > 0.9


def test_rows_are_made_of_what_their_key_has_and_of_parts() -> None:
    """Wages are hours of the key at a rate of the row, and what is paid is a sum of them: neither has a step."""
    rng = np.random.default_rng(0)
    rows = list[Any]()
    for person in range(150):
        hours, rate = int(rng.choice([80, 120, 160])), int(rng.integers(1500, 4000)) / 100
        for month in range(1, 1 + int(rng.integers(8, 14))):
            rate = round(rate * (1.03 if month % 4 == 0 else 1), 2)
            overtime = float(rng.integers(0, 20)) * 12.5
            extra = 300.0 if month == 11 else 0.0
            basic = round(hours * rate, 2)
            gross = round(basic + overtime + extra, 2)
            rows.append((f"P{person:04}", month, hours, rate, basic, overtime, extra, gross))
    names = ["person", "month", "hours", "rate", "basic", "overtime", "extra", "gross"]
    table = pd.DataFrame(rows, columns=names)
    synthesizer = gpuvgm.TableSynthesizer(sequence_key="person", sequence_index="month").fit(table)
    laws = {*map(str, synthesizer.laws_)}
    assert laws >= {"rate * hours = basic", "basic + overtime + extra = gross"}
    sample = synthesizer.sample(keys=150)
    assert np.allclose(sample.hours * sample.rate, sample.basic, atol=1e-6)
    assert np.allclose(sample.basic + sample.overtime + sample.extra, sample.gross, atol=1e-6)


def test_what_is_often_zero_is_drawn_and_the_sum_computed() -> None:
    """As steps of the sum would leave what is set aside to be computed, closed claims had some left."""
    synthesizer = fitted(claims(KEYS, 0), "claim", "day")
    assert {"reserve + paid = incurred", "previous(paid) + payment = paid"} <= {*map(str, synthesizer.laws_)}
    rows = synthesizer.sample(keys=KEYS)
    assert ((rows.paid + rows.reserve - rows.incurred).abs() < 0.006).all()
    assert (rows.reserve == 0)[rows.status == "closed"].mean() > 0.98
    assert (rows.reserve > 0)[rows.status != "closed"].mean() > 0.98
