"""Folders of files that runs write: complete under their name, or not there; a run that was cut short can go on."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpuvgm.errors import EnvironmentProblem, InputError, counted, counted_values
from gpuvgm.files import SIGNALS, remove_temporary, replace_folder
from gpuvgm.io.locations import Location
from gpuvgm.io.locks import locked
from gpuvgm.io.manifest import Manifest
from gpuvgm.io.remote import RemoteFile, lies_in_process
from gpuvgm.io.sink import check_folder_of
from gpuvgm.io.source import Source

_ANEW = "remove that folder to begin again"
_ENDS = (InputError, EnvironmentProblem, OSError, KeyboardInterrupt)  # ends of runs that are no defect of gpuvgm
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """A folder of files with a manifest.

    Parameters
    ----------
    out : Location
        The folder.
    asked : mapping
        All that determines the rows: command, model, options and inputs.
    names : callable
        Names of the files of so many rows.
    root : pathlib.Path
        Folder that the name counts from; workers may stand in another.
    numbers : range, optional
        Of generated rows, the numbers of the files; other runs may write other numbers of the same folder.
    """

    out: Location
    asked: Mapping[str, Any]
    names: Callable[[int], list[str]]
    root: Path
    numbers: range | None = None

    @property
    def place(self) -> Location:
        """Folder that files are written to: beside the output until all are complete; in a store the output itself."""
        if isinstance(self.out, RemoteFile):
            return self.out
        return (self.root / self.out).with_name(f".{self.out.name}{self._number}.unfinished")

    @property
    def manifest(self) -> str:
        """Name of the manifest: runs that write other files of the folder have their own."""
        return f"_manifest{self._number}.json"

    @property
    def _number(self) -> str:
        return f".{self.numbers.start:05d}" if self.numbers and self.numbers.start else ""

    @contextmanager
    def opened(self, source: Source, *, resume: bool, spread: bool) -> Iterator[Manifest]:
        """Have the caller write the files that are missing, alone on this machine; then they get the folder's name.

        Parameters
        ----------
        source : Source
            The rows.
        resume : bool
            Go on with a run that was cut short.
        spread : bool
            Whether other processes write the files.

        Yields
        ------
        Manifest
            The files that are complete, to which the caller adds the others as they are; all of them where the folder
            is complete already.

        Raises
        ------
        InputError
            Where the folder holds something else, the run to resume was another one, or complete files of an
            interrupted run would be lost.
        """
        if resume and not source.identified:
            raise InputError(
                f"{source.name}: rows in memory cannot be told from those of a run that was cut short; write without "
                "resume"
            )
        if spread and lies_in_process(self.out):
            raise InputError(f"{self.out}: lies in the memory of one process, where workers cannot write")
        self._check()
        with locked(self.out, self.numbers):
            manifest = self._complete_manifest() if resume else None
            if manifest is not None:
                yield manifest
                return
            manifest = self._start_manifest(source, resume=resume)
            with self._keeping_complete_files(source, manifest):
                place, done = self.place, manifest.done
                manifest.done = {name: entry for name, entry in done.items() if _fits(manifest, place, name)}
                if manifest.done:
                    _LOG.info("%s: going on after %s", self.out, counted(len(manifest.done), "part"))
                manifest.write()  # before any file: a folder without a manifest is refused later
                yield manifest
                self._complete(manifest)

    def _complete(self, manifest: Manifest) -> None:
        """Give the folder its final name."""
        # Sorted, as workers finish their parts in any order.
        manifest.complete, manifest.done = True, dict(sorted(manifest.done.items()))
        manifest.write()
        if isinstance(self.place, Path) and isinstance(self.out, Path):
            for name in _names_within(self.place) - {self.manifest, *manifest.done}:
                (self.place / name).unlink()  # those that a killed process had begun
            self._publish(self.place, Path(os.path.realpath(self.out)), manifest)

    @contextmanager
    def _keeping_complete_files(self, source: Source, manifest: Manifest) -> Iterator[None]:
        """Keep the complete files of a run that fails, and note them in the error; remove a folder without any."""
        try:
            yield
        except BaseException as problem:
            if manifest.done:
                with suppress(OSError):
                    manifest.write()  # which may have been cut short
                amount = counted_values(len(manifest.done), "files are complete")
                remedy = "go on with resume=True" if source.identified else _ANEW
                problem.add_note(f"{amount} in {self.place}: {remedy}")
                if isinstance(self.place, Path):  # workers that were killed had begun others
                    remove_temporary(self.place, ".part-")
            elif isinstance(problem, _ENDS) and isinstance(self.place, Path):
                shutil.rmtree(self.place, ignore_errors=True)
            raise

    def _publish(self, place: Path, out: Path, manifest: Manifest) -> None:
        """Rename a complete folder to its final name; files of generated rows join those of other runs."""
        if self.numbers is None:  # which removes the older folder last
            replace_folder(place, out)
            return
        with SIGNALS.deferred():
            with suppress(OSError):  # of a folder that is there
                place.rename(out)
                return
            # The manifest moves last: while it is in the unfinished folder, the run can be resumed.
            _move([*manifest.done, self.manifest], place, out)
            place.rmdir()

    def _complete_manifest(self) -> Manifest | None:
        """The manifest of a complete folder; one with damaged files becomes an unfinished folder, without a result."""
        out, place = self.out, self.place
        if place != out and Manifest.read(place / self.manifest) is not None:
            return None
        manifest = Manifest.read(out / self.manifest)
        if manifest is None or not manifest.complete:
            return None
        options = {} if self.numbers is None else {"otherwise": "give another folder"}
        manifest.refuse_other_run(self.asked, str(out), **options)
        # A list, so that every damaged file is logged.
        if all([_fits(manifest, out, name) for name in manifest.done]):
            return manifest
        if isinstance(out, Path) and isinstance(place, Path):
            self._check()
            _remove_unfinished(place, None)
            if self.numbers is None:
                out.rename(place)
            else:  # other runs have files there
                place.mkdir()
                _move([*manifest.done, self.manifest], out, place)
        return None

    def _start_manifest(self, source: Source, *, resume: bool) -> Manifest:
        """The manifest of the run to resume, or a new one in a folder of its own."""
        self._check()
        place = self.place / self.manifest
        manifest = Manifest.read(place)
        if resume and manifest is not None:
            manifest.refuse_other_run(self.asked, self._describe_unfinished(manifest), _ANEW)
            return replace(manifest, place=place, complete=False)
        if self.numbers is not None:
            self._refuse_to_replace(source)
        if resume:
            _LOG.info("%s: there is no unfinished run; it begins from the start", self.out)
        else:
            self._refuse_to_overwrite(source, manifest)
        if isinstance(self.out, RemoteFile) and self.numbers is None:
            _empty_store(self.out, self.out / self.manifest)
        if isinstance(self.place, Path):
            _remove_unfinished(self.place, manifest)
            self.place.mkdir()
        return Manifest(place, dict(self.asked), {})

    def _refuse_to_replace(self, source: Source) -> None:
        """Refuse to replace files of generated rows, which other runs may have written."""
        names = self.names(source.rows or 0)
        existing = [name for name in names if (self.out / name).exists()]
        if existing:
            amount = counted_values(len(existing), f"files are there already, of {len(names):,}")
            is_own = source.identified and Manifest.read(self.out / self.manifest)
            remedy = "go on with resume=True, or " if is_own else ""
            raise InputError(f"{self.out}: {amount} (first {existing[0]}): {remedy}remove them to begin again")

    def _describe_unfinished(self, manifest: Manifest) -> str:
        """Say how many complete files an interrupted run left, and where."""
        files = counted(len(manifest.done), "complete file")
        return f"{self.out}: a run that was cut short left {files} in {self.place}"

    def _refuse_to_overwrite(self, source: Source, manifest: Manifest | None) -> None:
        """Refuse to begin again where an interrupted run left complete files."""
        if manifest is None or not manifest.done or (manifest.complete and self.place == self.out):
            return
        description, remedy = self._describe_unfinished(manifest), ""
        if source.identified:
            manifest.refuse_other_run(self.asked, description, _ANEW)
            remedy = "go on with resume=True, or "
        total = "" if source.rows is None else f", of {len(self.names(source.rows)):,}"
        raise InputError(f"{description}{total}: {remedy}{_ANEW}")

    def _check(self) -> None:
        """Refuse a folder that holds something else.

        Raises
        ------
        InputError
            Naming the folder.
        """
        out = self.out
        if isinstance(out, RemoteFile):
            return
        check_folder_of(out)
        if out.exists() and not out.is_dir():
            raise InputError(f"{out}: is a file; give a name that ends in .parquet, or that of a folder")
        if self.numbers is not None:
            return
        names = _names_within(out)
        manifest = Manifest.read(out / self.manifest)
        if names and manifest is None:
            raise InputError(f"{out}: a folder that gpuvgm did not write is not replaced; choose another name")
        entries = manifest.done if manifest else ()
        folders = {name.rpartition("/")[0] for name in entries}  # their files may be gone
        foreign = sorted(names - {self.manifest, *entries, *folders})
        if foreign:
            raise InputError(f"{out}: also holds {foreign[0]}, which gpuvgm did not write there; choose another name")


def _move(names: Iterable[str], start: Path, end: Path) -> None:
    for name in names:
        with suppress(FileNotFoundError):
            (start / name).replace(end / name)


def _fits(manifest: Manifest, folder: Location, name: str) -> bool:
    if manifest.still_fits(folder, name):
        return True
    _LOG.info("%s: is not what the run had written; it is written again", folder / name)
    return False


def _remove_unfinished(place: Path, manifest: Manifest | None) -> None:
    """Remove the folder of a run that ended before its first file was complete; refuse one with unknown files."""
    if place.exists():
        names = sorted(name for name in _names_within(place) if not Path(name).name.startswith("."))
        if manifest is None and names:
            raise InputError(f"{place}: holds {names[0]}, but no whole manifest of a run; {_ANEW}")
        shutil.rmtree(place)


def _empty_store(out: RemoteFile, place: RemoteFile) -> None:
    """Remove the files of an earlier run from a folder of a store; refuse one that holds others than its manifest's."""
    manifest = Manifest.read(place)
    own_names = {place.name, *(manifest.done if manifest else ())}
    files = out.files()
    foreign = sorted({str(file.name_from(place)) for file in files} - own_names)
    if foreign:
        raise InputError(
            f"{out}: holds {foreign[0]}, which no complete run wrote there; choose another name, or empty it"
        )
    for file in files:
        file.unlink(missing_ok=True)


def _names_within(folder: Path) -> set[str]:
    """Names of the files in a folder and below, and of empty folders."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir() or not any(path.iterdir())]
    return {path.relative_to(folder).as_posix() for path in paths}
