"""Why there is no prediction."""


class NoPredictionError(Exception):
    """Theory does not cover a network; the message says what of it."""
