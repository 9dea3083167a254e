"""What workspace.yaml loads: the definitions of the plant file in $FERRY_PLANT, or ferry.toml here."""

from assets_defs.definitions import build_defs

defs = build_defs()
