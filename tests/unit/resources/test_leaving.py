"""The end of a process: its code and its output stand, and what was registered for the end is done."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import atexit
from resources.leaving import leave
atexit.register(lambda: print("put away"))
print("said", end=" ")
leave(3)
"""


def test_the_code_and_the_output_stand() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said put away\n", "")
