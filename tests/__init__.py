"""The tests. A real package, so that apache-iotdb's own top-level `tests` is not taken for it."""
