"""The exception for a network without a prediction."""


class NoPredictionError(Exception):
    """Theory does not cover a network; the message gives the reason."""
