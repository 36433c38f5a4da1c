"""A file of a store as a seekable file: few large requests, several places read ahead, bounded memory."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

FIRST_BYTES = 1 << 20
WINDOW_BYTES = 8 << 20
HELD_BYTES = 128 << 20
REQUESTS_AT_ONCE = 4
#: Chunks with no more between them than this are read by one request.
GAP_BYTES = 1 << 16


class Window:
    """Bytes that are read ahead, and how many of them have been handed out.

    Parameters
    ----------
    first, stop : int
        Which bytes of the file.
    coming : Future
        They, when they have come.
    goes_on : bool
        Whether what follows is going to be read too.
    """

    __slots__ = ("coming", "first", "goes_on", "served", "stop")

    def __init__(self, first: int, stop: int, coming: Future[bytes], *, goes_on: bool) -> None:
        self.first, self.stop, self.coming, self.goes_on, self.served = first, stop, coming, goes_on, 0

    def holds(self, position: int) -> bool:
        """Whether the byte at this position is among them."""
        return self.first <= position < self.stop


class RangeReader(io.RawIOBase):
    """Reads a file by ranges, ahead of what is asked for, and the next range while the last one is worked on.

    Where the file's chunks are known (`expect`), a window holds a part of one, or several whole ones. Elsewhere windows
    grow from 1 to 8 MiB while the file is read on.

    Parameters
    ----------
    fetch : callable
        Bytes from a start to a stop; called in other threads.
    size : int
        Of the file.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size, self._position = fetch, size, 0
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, "gpuvgm-read")
        self._windows: list[Window] = []
        self._started: set[int] = set()
        self._spans: list[tuple[int, int]] = []  # one request each, sorted
        self._further: set[int] = set()  # where spans begin that go on with a chunk
        self._window, self._held, self._in_order = WINDOW_BYTES, HELD_BYTES, True
        self._grown, self._grown_to = FIRST_BYTES, -1

    def expect(self, groups: Sequence[Sequence[tuple[int, int]]]) -> None:
        """Tell what is going to be read: starts and stops of chunks, those of a group side by side.

        Where a group is too large to be held, windows are short enough that there are two for every chunk.
        """
        largest = max((sum(stop - start for start, stop in group) for group in groups), default=0)
        self._in_order = largest <= HELD_BYTES
        if not self._in_order:
            at_once = 2 * max(map(len, groups))
            self._window = min(WINDOW_BYTES, max(FIRST_BYTES, HELD_BYTES // at_once))
            self._held = max(HELD_BYTES, self._window * at_once)
        self._held += 2 * WINDOW_BYTES
        for start, stop in sorted(chunk for group in groups for chunk in group):
            self._add(start, stop)

    def _add(self, start: int, stop: int) -> None:
        """Plan the requests of a chunk: with the one before where both are short, several where it is long."""
        if self._spans:
            first, end = self._spans[-1]
            if first not in self._further and start - end <= GAP_BYTES and stop - first <= self._window:
                self._spans[-1] = (first, stop)
                return
        for first in range(start, stop, self._window):
            self._spans.append((first, min(stop, first + self._window)))
            if first > start:
                self._further.add(first)

    def close(self) -> None:
        """Let go of what was read ahead."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._windows.clear()
        super().close()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer at the end only."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        pieces = []
        while wanted:
            piece = self._piece(wanted)
            pieces.append(piece)
            self._position += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: object) -> int:
        """The next bytes into a buffer."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        body = self.read(len(view))
        view[: len(body)] = body
        return len(body)

    def _piece(self, wanted: int) -> bytes:
        """Up to `wanted` bytes from one window, which goes when all of it has been read."""
        window = self._around(self._position) or self._start(self._position)
        if not window.served:
            self._look_ahead(window)
        start = self._position - window.first
        piece = window.coming.result()[start : start + wanted]
        window.served += len(piece)
        if window.served >= window.stop - window.first and window in self._windows:
            self._windows.remove(window)
        return piece

    def _around(self, position: int) -> Window | None:
        return next((window for window in self._windows if window.holds(position)), None)

    def _start(self, position: int) -> Window:
        """Begin to read the window around a position."""
        number = self._span(position)
        first, (stop, goes_on) = position, (0, True)
        if number is None:
            stop, goes_on = self._unexpected(position)
        else:
            first, stop = self._spans[number]
        window = Window(first, stop, self._threads.submit(self._fetch, first, stop), goes_on=goes_on)
        self._windows.append(window)
        self._started.add(first)
        while len(self._windows) > 1 and sum(one.stop - one.first for one in self._windows) > self._held:
            del self._windows[0]
        return window

    def _look_ahead(self, window: Window) -> None:
        """Begin to read what follows a window."""
        following: int | None = window.stop if window.goes_on and window.stop < self._size else None
        number = self._span(window.first)
        if number is not None:
            after = self._spans[number + 1 : number + 2]
            following = after[0][0] if after and (self._in_order or after[0][0] in self._further) else None
        if following is not None and following not in self._started:  # columns may be read in any order
            self._start(following)

    def _span(self, position: int) -> int | None:
        """Number of the span that holds a position."""
        number = bisect_right(self._spans, (position, self._size)) - 1
        return number if number >= 0 and position < self._spans[number][1] else None

    def _unexpected(self, first: int) -> tuple[int, bool]:
        on = first == self._grown_to
        self._grown = min(2 * self._grown, WINDOW_BYTES) if on else FIRST_BYTES
        self._grown_to = min(self._size, first + self._grown)
        return self._grown_to, on
