"""Public tables with domains that are declared by what their columns mean, not by their values."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.inputs import real_table
from benchmarks.samples_tables import TABLES
from gpuvgm.datasets import mixed_table_rows

AIRPORTS = (
    "ATL LAX ORD DFW DEN JFK SFO SEA LAS MCO EWR CLT PHX IAH MIA BOS MSP FLL DTW PHL LGA BWI SLC SAN IAD DCA MDW "
    "TPA PDX HNL STL HOU BNA OAK AUS MSY RDU SJC SNA DAL SMF SAT RSW PIT CVG CLE IND MCI CMH SJU BDL JAX ANC BUF "
    "OMA ABQ OKC BUR PBI RIC SDF ONT CHS MEM TUL BHM BTV GRR ROC SYR ALB PWM ORF GSP GSO SAV DSM DAY MSN CAE TYS "
    "AVL MKE XNA LEX BGR ACK MVY MHT PVD CRW ILM MYR HDN EYW EGE JAC BZN MTJ TVC SRQ CAK CHO LGB PSP BQN PSE STT "
    "LIT GEG BOI RNO ELP ICT COS FAT TUS CID"
)
RACES = ["East African", "White", "Black", "Latino", "Asian", "Native American", "Other", "Unknown", "missing"]
ANSWERS = ["NO", "YES", "missing"]
HELD_OUT = 20_000


def numbers(low: float, high: float, step: float = 0, unit: float | None = None, **more: Any) -> dict[str, Any]:
    scale = {} if unit is None else {"scale": "log", "unit": unit}
    return {"kind": "number", "low": low, "high": high, "step": step, **scale, **more}


def categories(values: str | list[str], other: str | None = None) -> dict[str, Any]:
    return {"kind": "category", "categories": values.split() if isinstance(values, str) else values, "other": other}


@cache
def neighbourhoods() -> list[str]:
    """Neighbourhoods of Minneapolis: a public list."""
    return sorted(set(real_table("MplsStops", "carData")["neighborhood"]))


DOMAINS: dict[str, dict[str, dict[str, Any]]] = {
    "payments": {
        "amount": numbers(0, 100_000, 0.01, 1, special=[0]),
        "balance": numbers(-100_000, 1_000_000, 0.01, 100, special=[0]),
        "quantity": numbers(0, 100, 1),
        "channel": categories("app web store phone"),
        "active": categories("True False"),
        "score": numbers(0, 100),
        "rate": numbers(0, 10, 0.0125),
    },
    "diamonds": {
        "carat": numbers(0, 6, 0.01),
        "cut": categories(["Fair", "Good", "Very Good", "Premium", "Ideal"]),
        "color": categories("D E F G H I J"),
        "clarity": categories("I1 SI2 SI1 VS2 VS1 VVS2 VVS1 IF"),
        "depth": numbers(40, 80, 0.1),
        "table": numbers(40, 100, 0.1),
        "price": numbers(100, 50_000, 1, 100),
        **{name: numbers(0, 15, 0.01) for name in "xyz"},
    },
    "flights": {
        "dep_delay": numbers(-120, 1800, 1),
        "arr_delay": numbers(-120, 1800, 1),
        "air_time": numbers(0, 900, 1),
        "distance": numbers(0, 6000, 1),
        "hour": numbers(0, 23, 1),
        "month": categories("1 2 3 4 5 6 7 8 9 10 11 12"),
        "carrier": categories("9E AA AS B6 DL EV F9 FL HA MQ OO UA US VX WN YV", "other"),
        "origin": categories("EWR JFK LGA"),
        "dest": categories(AIRPORTS, "other"),
    },
    "nassCDS": {
        "dvcat": categories("1-9km/h 10-24 25-39 40-54 55+"),
        "weight": numbers(0, 100_000, 0, 1),
        "dead": categories("alive dead"),
        "airbag": categories("none airbag"),
        "seatbelt": categories("none belted"),
        "frontal": categories("0 1"),
        "sex": categories("f m"),
        "ageOFocc": numbers(0, 120, 1),
        "yearacc": numbers(1997, 2002, 1),
        "yearVeh": numbers(1920, 2010, 1, missing=True),
        "abcat": categories("unavail deploy nodeploy"),
        "occRole": categories("driver pass"),
        "deploy": categories("0 1"),
        "injSeverity": categories("0 1 2 3 4 5 6 missing"),
    },
    "stops": {
        "problem": categories("suspicious traffic"),
        "MDC": categories("MDC other"),
        **{name: categories(ANSWERS) for name in ("citationIssued", "personSearch", "vehicleSearch")},
        **{name: categories(RACES) for name in ("preRace", "race")},
        "gender": categories("Male Female Unknown missing"),
        "lat": numbers(44.88, 45.06),
        "long": numbers(-93.34, -93.18),
        "policePrecinct": categories("1 2 3 4 5"),
        "neighborhood": {},
    },
}
TARGETS = {"payments": "active", "diamonds": "price", "flights": "arr_delay", "nassCDS": "dead", "stops": "problem"}


def declared_rows(name: str, rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to fit, and at most 20,000 that are held out; categories are text, a missing one too."""
    if name == "stops":
        DOMAINS[name]["neighborhood"] = categories(neighbourhoods(), "other")
    frame = _rows_of(name, rows, seed).reset_index(drop=True)[[*DOMAINS[name]]]
    for column, own in DOMAINS[name].items():
        if own["kind"] == "category":
            text = frame[column].astype(object).where(frame[column].notna(), "missing").map(str)
            frame[column] = text.str.removesuffix(".0")
        else:
            frame[column] = frame[column].astype(float)
    held_out = min(HELD_OUT, len(frame) // 2)
    fitted = frame[: min(rows, len(frame) - held_out)]
    return fitted.reset_index(drop=True), frame[-held_out:].reset_index(drop=True)


def _rows_of(name: str, rows: int, seed: int) -> Any:
    if name in ("diamonds", "flights"):
        return TABLES[name].rows(10**7, seed).sample(frac=1, random_state=seed)
    if name == "payments":
        many = (rows + HELD_OUT) * 11 // 10 + 100
        return mixed_table_rows(0, many, seed).to_pandas().dropna()[: rows + HELD_OUT].astype({"channel": "str"})
    package = {"nassCDS": ("nassCDS", "DAAG"), "stops": ("MplsStops", "carData")}[name]
    return real_table(*package).sample(frac=1, random_state=np.random.RandomState(seed))
