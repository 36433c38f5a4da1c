"""Jobs over an S3 server of this machine that throttles, fails, cuts connections, changes objects and lists late."""

from __future__ import annotations

import io
import os
import random
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import gpuvgm
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.io import remote as retries
from gpuvgm.io.remote import Retries
from tests.harness.fuzz.harness import Target, WrongResult
from tests.harness.fuzz.jobs import PARTITION_ROWS, Unclean, same_for_every_run
from tests.harness.fuzz.runs import changed_content, inputs_of_all, without_source
from tests.io.storage.faults import Faults, running

BUCKET = "fuzz"
ROOT = f"s3://{BUCKET}"
LARGEST_SHARE = 0.3  # of answers that are spoilt
Result = Mapping[str, Any]


class Moody(Faults):
    """Beside the faults of answers: other ETags, listings of another time, and something that happens at a request."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.calm()

    def calm(self) -> None:
        """From now on all is well."""
        self.behave()
        self.count, self.number, self.event = 0, None, None
        self.other_etag: str | None = None
        self.alter_listing: Callable[[bytes], bytes] | None = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer one request."""
        self.count += 1
        if self.count == self.number and self.event is not None:
            self.event()
        if self.alter_listing is not None and "list-type" in environ.get("QUERY_STRING", ""):
            return self.listed(environ, start_response, self.alter_listing)
        etag, self.other_etag = self.other_etag, None
        return super().__call__(environ, start_response if etag is None else partial(_with_etag, start_response, etag))

    def listed(self, environ: Any, start_response: Any, alter: Callable[[bytes], bytes]) -> list[bytes]:
        """A listing that shows what is there no longer, or not yet what is there."""
        answer: list[Any] = []
        body = alter(b"".join(self.app(environ, lambda *told: answer.append(told))))
        status, headers, *_ = answer[0]
        start_response(status, [(k, v) for k, v in headers if k.lower() != "content-length"])
        return [body]


def _with_etag(start_response: Any, etag: str, status: str, headers: Any, *rest: Any) -> Any:
    return start_response(status, [(k, f'"{etag}"' if k.lower() == "etag" else v) for k, v in headers], *rest)


@contextmanager
def served() -> Iterator[Moody]:
    """A server with an empty bucket, to which the environment leads."""
    with running(Moody) as (moody, settings):
        os.environ.update(settings)
        retries.RETRIES = Retries(first_delay=0.002, longest_delay=0.02)
        store().mkdir(BUCKET)
        yield moody


def store() -> Any:
    """The server as fsspec sees it, with its own retries."""
    import s3fs

    return s3fs.S3FileSystem(use_listings_cache=False)


# -- jobs


@dataclass(frozen=True, slots=True)
class Work:
    """Something done with files of one place, whose names are the same on this machine and in the store.

    Parameters
    ----------
    source : str
        The file or folder that is read.
    run : callable
        From the place to what was made of it.
    """

    source: str
    run: Callable[[str], Result]


def fit(place: str) -> Result:
    """Fit a model and write it."""
    gpuvgm.TableTransformer(effort="research").fit(f"{place}/rows").save(f"{place}/out.gpuvgm")
    return {"out.gpuvgm": None}


def transform(place: str, name: str = "out.parquet") -> Result:
    """Encode rows into a file or a folder."""
    gpuvgm.load(f"{place}/model.gpuvgm").transform(f"{place}/rows", out=f"{place}/{name}", part_rows=PARTITION_ROWS)
    return {name: None}


def inverse(place: str, encoded: str = "encoded.parquet") -> Result:
    """Decode rows into a file."""
    gpuvgm.load(f"{place}/model.gpuvgm").inverse_transform(f"{place}/{encoded}", out=f"{place}/out.parquet")
    return {"out.parquet": None}


def batches(place: str) -> Result:
    """Rows for training, shuffled."""
    model = gpuvgm.load(f"{place}/model.gpuvgm")
    return {"": [batch.tobytes() for batch in model.iter_batches(f"{place}/rows", 512, seed=3)]}


JOBS = (
    Work("rows", fit),
    Work("rows", transform),
    Work("rows", partial(transform, name="out")),
    Work("encoded.parquet", inverse),
    Work("encoded", partial(inverse, encoded="encoded")),
    Work("rows", batches),
)


def prepare(_: Path) -> Path:
    """Files that the store gets."""
    for name in ("moto.server", "moto.s3.models", "moto.s3.responses", "werkzeug.serving", "s3fs"):
        import_module(name)  # once for all cases

    return inputs_of_all()


def put_all(folder: Path) -> None:
    """The files of a folder into the bucket."""
    for file in folder.rglob("*"):
        if file.is_file():
            store().pipe_file(f"{BUCKET}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def comparable(name: str, body: bytes) -> bytes | None:
    """What of a file is the same wherever it was made."""
    if name.endswith(".gpuvgm"):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return without_source(archive.read("model.json"))
    return None if name.endswith("_manifest.json") else body


def in_store(out: str) -> Result:
    """Files of an output in the store."""
    names = [name.partition("/")[2] for name in store().find(BUCKET)]
    held = [name for name in names if name == out or name.startswith(f"{out}/")]
    return {name: comparable(name, store().cat_file(f"{BUCKET}/{name}")) for name in held}


def here(folder: Path, out: str) -> Result:
    """Files of an output of this machine."""
    files = [folder / out] if (folder / out).is_file() else sorted((folder / out).iterdir())
    named = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    return {name: comparable(name, body) for name, body in named.items()}


# -- cases


def attempt(inputs: Path, random: random.Random, folder: Path) -> None:
    """One job with faults, compared with the same on this machine."""
    work = random.choice(JOBS)
    same_for_every_run()
    with served() as moody:
        put_all(inputs)
        os.symlink(inputs, folder / "inputs")
        disturb(moody, work, inputs, random)
        try:
            made = work.run(ROOT)
        except (InputError, EnvironmentProblem):
            moody.calm()
            check_nothing_half_written(work, inputs, folder)
            raise
        changed, _ = moody.event is not None, moody.calm()
        if results(made) not in [right(work, inputs, folder), *([results(work.run(ROOT))] if changed else [])]:
            raise WrongResult(f"{work}: other results than on this machine")


def results(made: Result) -> Result:
    """What a job made in the store."""
    ((out, value),) = made.items()
    return made if value is not None else in_store(out)


def right(work: Work, inputs: Path, folder: Path) -> Result:
    """What a job makes on this machine."""
    local = folder / "local"
    if not local.exists():
        local.mkdir()
        for path in inputs.iterdir():
            (local / path.name).symlink_to(path)
    ((out, value),) = work.run(str(local)).items()
    return {out: value} if value is not None else here(local, out)


def check_nothing_half_written(work: Work, inputs: Path, folder: Path) -> None:
    """Refuse an output in the store that is neither absent nor complete; of a folder each file for itself."""
    expected = right(work, inputs, folder)
    outs = {name.partition("/")[0] for name in expected if name}
    for name, body in {name: body for out in outs for name, body in in_store(out).items()}.items():
        if name not in expected or body != expected[name]:
            raise Unclean(f"{work}: {name} is half written after an error")


def disturb(moody: Moody, work: Work, inputs: Path, random: random.Random) -> None:
    """Choose how the server behaves."""
    moody.behave(share=random.choice((0, random.uniform(0, LARGEST_SHARE))), seed=random.getrandbits(30))
    moody.count, moody.number = 0, random.randint(1, 40)
    source = inputs / work.source
    files = [source] if source.is_file() else sorted(source.glob("*.parquet"))
    key = random.choice(files).relative_to(inputs).as_posix()
    fault = random.choice(("none", "etag", "replaced", "removed", "late", "old"))
    if fault == "etag":
        moody.event = lambda: setattr(moody, "other_etag", "0" * 32)
    elif fault in ("replaced", "removed"):
        body = changed_content(inputs / key, random) if fault == "replaced" else None
        moody.event = partial(replace_object, key, body)
    elif fault == "late" and work.source == "encoded":  # a plain folder does not say what it holds
        moody.alter_listing = partial(without_entry, key.encode())
    elif fault == "old":
        moody.alter_listing = partial(with_entry, key.encode())


def replace_object(key: str, body: bytes | None) -> None:
    """Another object takes the name, or none."""
    from moto.s3.models import s3_backends

    backend = s3_backends["123456789012"]["aws"]
    if body is None:
        backend.delete_object(BUCKET, key)
    else:
        backend.put_object(BUCKET, key, body)


def without_entry(key: bytes, listing: bytes) -> bytes:
    """A listing of before the object came."""
    return re.sub(
        rb"<Contents>(?:(?!</Contents>).)*<Key>" + re.escape(key) + rb"</Key>.*?</Contents>", b"", listing, flags=re.S
    )


def with_entry(key: bytes, listing: bytes) -> bytes:
    """A listing of before an object beside this one was removed."""
    stem, _, ending = key.rpartition(b".")
    found = re.search(
        rb"<Contents>(?:(?!</Contents>).)*<Key>" + re.escape(key) + rb"</Key>.*?</Contents>", listing, flags=re.S
    )
    return (
        listing
        if found is None
        else listing.replace(found[0], found[0] + found[0].replace(key, stem + b"-old." + ending))
    )


TARGETS = (Target("s3-faults", prepare, attempt, memory=None),)
