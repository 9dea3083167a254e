"""The outside world, one package a system. Each is a plain client; none knows Dagster's graph or the domain's flow."""
