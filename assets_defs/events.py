"""Progress of a run for whoever started its process: JSON lines on the file descriptor named in the environment."""

from __future__ import annotations

import json
import os
from typing import Any

VARIABLE = "FERRY_EVENTS_FD"


def emit(event: dict[str, Any]) -> None:
    """Writes one line if somebody listens; a listener that went away is no reason to stop."""
    descriptor = os.environ.get(VARIABLE)
    if descriptor is None:
        return
    try:
        os.write(int(descriptor), json.dumps(event, ensure_ascii=False).encode() + b"\n")
    except OSError:
        os.environ.pop(VARIABLE, None)
