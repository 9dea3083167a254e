"""The domain: time, points, samples and the way of one slice. Knows no Dagster, no HTTP, no server's driver."""
