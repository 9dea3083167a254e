"""Runs the stand-in."""

import sys

from simulators.opcua.server import main

if __name__ == "__main__":
    sys.exit(main())
