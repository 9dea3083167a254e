"""What workspace.yaml loads: the definitions of the plant file in $FERRY_PLANT, or ferry.toml here."""

import warnings

from assets_defs.definitions import build_defs

# Importing IoTDB's client turns deprecation warnings on for the whole process; an operator can do nothing about them.
warnings.simplefilter("ignore", DeprecationWarning)
defs = build_defs()
