"""Run `python -m bench`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    # The private servers and the proof of the log belong to the tests.
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from bench.command_line import main

    main()
