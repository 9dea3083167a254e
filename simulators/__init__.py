"""Stand-in plants for the demo and the tests; they import nothing of the product but `pipelines.samples`."""
