"""A process of `orderledger up`: ``python -m orderledger.child <role> <pid of up>``."""

from __future__ import annotations

import os
import sys

from ledger.logs import configure_logs
from ledger.settings import LedgerSettings, read_settings
from workers.orphans import end_with_parent
from workers.settings import WorkerSettings

API, MAINTENANCE = "api", "maintenance"


def main(arguments: list[str]) -> int:
    """Run the role until told to stop."""
    role, parent = arguments
    configure_logs(read_settings(LedgerSettings, os.environ).log_level, role=role)
    end_with_parent(int(parent), grace_s=WorkerSettings.from_environment(os.environ).stop_timeout_s)
    # Neither needs what the other does, and both take long to import.
    if role == MAINTENANCE:
        from orderledger.maintenance import maintain

        return maintain(os.environ)
    from api.serve import serve
    from api.settings import ApiSettings

    settings = ApiSettings.from_environment(os.environ)
    return serve(settings.host, settings.port, settings.api_workers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
