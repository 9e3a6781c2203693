"""The application for a WSGI server, built from the environment: ``api.wsgi:app``."""

from __future__ import annotations

import atexit
import os

from api.application import close, create_app

app = create_app(os.environ)
atexit.register(close, app)
