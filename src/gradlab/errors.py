"""The one exception a user sees."""


class GradlabError(Exception):
    """An error a user can cause and mend; its message is one line: what is wrong, where, and what would be right."""
