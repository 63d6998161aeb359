"""What uvicorn starts: `FER_MODEL=runs/NAME uvicorn app:app --app-dir hub/server --http app:Connection --backlog 16
--port 8000`.

This file puts the folder that holds `hub/` on the path, whatever the working directory is, and creates the app with the
settings of the environment. Everything else in this folder is the package `hub.server`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hub.server.application import create_app  # noqa: E402
from hub.server.connection import Connection  # noqa: E402
from hub.server.settings import read_settings  # noqa: E402
from pipeline.errors import InputError  # noqa: E402

try:
    Connection.settings = read_settings()
    app = create_app(Connection.settings)
except InputError as error:
    raise SystemExit(f"error: cannot start: {error}") from None
