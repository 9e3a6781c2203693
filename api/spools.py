"""Answers that are made whole before they are sent, in memory that does not grow: a long one waits in a file.

What fails while it is made is answered as a problem. Sent as it is made, it would only end, and look whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile

SPOOL_BYTES = 1 << 20
"""What is longer is in a file."""
PIECE_BYTES = 1 << 16


class Spool:
    """The body of an answer, of `size` bytes. Whoever sends it closes it. Raises what the pieces raise."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._file = SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - Closed by whoever sends it.
        try:
            self.size = sum(map(self._file.write, pieces))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
