"""The exceptions a user sees."""


class GradlabError(Exception):
    """An error a user can cause and mend; its message is one line: what is wrong, where, and what would be right."""

    exit_code = 1


class GateError(GradlabError):
    """The run is whole, but its gate does not let it pass."""

    exit_code = 3
