"""Apache's plc4py in this process, once, where it is installed: its driver manager and an event loop."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from functools import cache
from importlib import import_module
from typing import Any

from pipelines.ports import Unreachable

_INSTALL = (
    "urls that begin with plc4py: need plc4py, which is in no registry: `pip install` the folder plc4py of Apache "
    "PLC4X's source tree, and xsdata, which it does not declare ({})"
)


@cache
def manager() -> Any:
    """plc4py's driver manager. Raises Unreachable where it is not installed.

    Left to itself it sets the root logger to DEBUG when imported, and gives it a handler with every message.
    """
    silence = logging.NullHandler()
    logging.root.addHandler(silence)  # basicConfig does nothing while there is one
    try:
        found = import_module("plc4py.PlcDriverManager").PlcDriverManager()
    except ImportError as error:
        raise Unreachable(_INSTALL.format(error)) from error
    finally:
        logging.root.removeHandler(silence)
    own = logging.getLogger("plc4py")
    own.setLevel(logging.CRITICAL)  # what it would say there is raised, too
    for name, module in list(sys.modules.items()):
        if name.startswith("plc4py") and vars(module).get("logging") is logging:
            vars(module)["logging"] = own
    return found


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Runs as long as the process, in a thread of its own, for all connections."""
    running = asyncio.new_event_loop()
    running.set_exception_handler(lambda _loop, _context: None)  # plc4py fails in callbacks; the reading says so
    threading.Thread(target=running.run_forever, name="plc4py", daemon=True).start()
    return running
