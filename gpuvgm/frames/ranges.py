"""A file of a store as a seekable file: few large requests, several places read ahead, bounded memory."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence

FIRST_BYTES = 1 << 20
WINDOW_BYTES = 8 << 20
HELD_BYTES = 64 << 20
#: Chunks with no more between them than this are read by one request.
GAP_BYTES = 1 << 16


class Window:
    """Bytes that were read ahead, and how many of them have been handed out."""

    __slots__ = ("body", "first", "served")

    def __init__(self, first: int, body: bytes) -> None:
        self.first, self.body, self.served = first, body, 0

    def holds(self, position: int) -> bool:
        """Whether the byte at this position is among them."""
        return self.first <= position < self.first + len(self.body)


class RangeReader(io.RawIOBase):
    """Reads a file by ranges, ahead of what is asked for.

    Where the file's chunks are known (`expect`), a window never goes beyond the end of its chunk, except over whole
    chunks that follow. Elsewhere windows grow from 1 to 8 MiB while the file is read on.

    Parameters
    ----------
    fetch : callable
        Bytes from a start to a stop.
    size : int
        Of the file.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size, self._position = fetch, size, 0
        self._windows: list[Window] = []
        self._chunks: list[tuple[int, int]] = []
        self._window, self._held = WINDOW_BYTES, HELD_BYTES
        self._grown, self._grown_to = FIRST_BYTES, -1

    def expect(self, groups: Sequence[Sequence[tuple[int, int]]]) -> None:
        """Tell what is going to be read: starts and stops of chunks, those of a group side by side.

        Where a group is too large to be held, windows are short enough that there is one for every chunk.
        """
        self._chunks = sorted(chunk for group in groups for chunk in group)
        largest = max((sum(stop - start for start, stop in group) for group in groups), default=0)
        if largest > HELD_BYTES:
            at_once = max(map(len, groups))
            self._window = min(WINDOW_BYTES, max(FIRST_BYTES, HELD_BYTES // at_once))
            self._held = max(HELD_BYTES, self._window * at_once)
        self._held += WINDOW_BYTES

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
        window = next((one for one in self._windows if one.holds(self._position)), None)
        if window is None:
            window = self._ahead()
        start = self._position - window.first
        piece = window.body[start : start + wanted]
        window.served += len(piece)
        if window.served >= len(window.body):
            self._windows.remove(window)
        return piece

    def _ahead(self) -> Window:
        stop = self._stop()
        window = Window(self._position, self._fetch(self._position, stop))
        self._windows.append(window)
        while len(self._windows) > 1 and sum(len(one.body) for one in self._windows) > self._held:
            del self._windows[0]
        return window

    def _stop(self) -> int:
        """Where the window that begins here ends."""
        start = self._position
        number = bisect_right(self._chunks, (start, self._size)) - 1
        if number < 0 or start >= self._chunks[number][1]:
            return self._unexpected()
        first, stop = self._chunks[number]
        if start > first or stop - first > self._window:
            return min(stop, start + self._window)
        for following, end in self._chunks[number + 1 :]:
            if following - stop > GAP_BYTES or end - first > self._window:
                break
            stop = end
        return stop

    def _unexpected(self) -> int:
        self._grown = min(2 * self._grown, WINDOW_BYTES) if self._position == self._grown_to else FIRST_BYTES
        self._grown_to = min(self._size, self._position + self._grown)
        return self._grown_to
