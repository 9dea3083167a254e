"""`python -m simulators.pi_web_api`: the stand-in in the foreground."""

from simulators.pi_web_api.server import serve
from simulators.pi_web_api.settings import from_arguments

serve(from_arguments())
