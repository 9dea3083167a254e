"""`python -m simulators.wonderware`: the stand-in in the foreground."""

from simulators.wonderware.server import serve
from simulators.wonderware.settings import from_arguments

serve(from_arguments())
