"""One S3 server for the session, on a free port of the loopback interface; nothing beyond it is reached."""

from __future__ import annotations

from itertools import count

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm.io import remote as retries
from gpuvgm.io.remote import Retries
from tests.io.storage.faults import Faults, running

ROWS = 20_000


@pytest.fixture(scope="session")
def server():
    """The middleware before moto's server, to which the environment leads."""
    with running(Faults) as (faults, settings), pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        yield faults
        forget_connections()


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Retries wait hundredths of a second, and the server behaves unless the test says otherwise."""
    monkeypatch.setattr(retries, "RETRIES", Retries(first_delay=0.002, longest_delay=0.02))
    if "server" in request.fixturenames:
        request.getfixturevalue("server").behave()


numbers = count(1)


@pytest.fixture
def bucket(server):
    """URL of a new bucket."""
    name = f"bucket-{next(numbers)}"
    store().mkdir(name)
    server.behave()
    return f"s3://{name}"


def store():
    """The server as fsspec sees it, with its own retries."""
    import s3fs

    system = s3fs.S3FileSystem(use_listings_cache=False)
    system.invalidate_cache()
    return system


def forget_connections():
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def keys(url):
    """What a bucket holds."""
    return sorted(name.partition("/")[2] for name in store().find(url))


@pytest.fixture(scope="session")
def rows():
    """A table with numbers that repeat, missing values and categories."""
    draws = np.random.default_rng(5)
    x = np.where(draws.random(ROWS) < 0.5, draws.normal(0, 1, ROWS), draws.normal(20, 2, ROWS))
    return pa.table(
        {
            "x": pa.array(x, mask=draws.random(ROWS) < 0.1),
            "n": draws.integers(0, 100, ROWS),
            "word": [f"category {i % 7}" for i in range(ROWS)],
        }
    )


@pytest.fixture
def folder(tmp_path, rows):
    """The table as a file of this machine."""
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=6000)
    return tmp_path
