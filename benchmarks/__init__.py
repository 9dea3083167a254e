"""How fast each stage and the whole line are, beside a plain reference, in one run on one machine."""
