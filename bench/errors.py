"""What ends a measurement: one sentence for the one who started it."""


class BenchError(Exception):
    """The measurement cannot go on, or its figures would be worth nothing."""
