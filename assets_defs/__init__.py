"""The Dagster face: partitions, assets, checks, jobs and their assembly. The work itself is done by `pipelines`."""
