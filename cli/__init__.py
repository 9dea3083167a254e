"""`ferry`, the command line: parse, call, show. What is decided and done is decided and done elsewhere."""
