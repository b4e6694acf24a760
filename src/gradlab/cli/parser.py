"""A parser of command lines whose errors are gradlab's own."""

from argparse import ArgumentParser
from typing import NoReturn

from gradlab.errors import GradlabError, one_line


class Parser(ArgumentParser):
    """A parser that raises where argparse prints its usage and exits with 2."""

    def error(self, message: str) -> NoReturn:
        """Raise a one-line error.

        Raises:
            GradlabError: Always.
        """
        raise GradlabError(f"{one_line(message)}; {self.prog} --help lists the options")
