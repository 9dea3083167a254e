"""Runs the stand-in."""

import sys

from simulators.modbus.server import main

if __name__ == "__main__":
    sys.exit(main())
