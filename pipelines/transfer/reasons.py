"""Reasons of exceptions that a later look opens in what was proved."""

DRIFT = "drift: the source no longer says what was landed; `ferry backfill` over it pulls it again"
LOST = "IoTDB no longer holds what was landed; `ferry sweep` puts it back from the landing"
