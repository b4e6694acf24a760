"""What the commands that read runs' files share in reading their command lines."""

from argparse import ArgumentParser
from typing import NoReturn

from gradlab.errors import GradlabError


class Parser(ArgumentParser):
    """A parser that raises, where argparse prints its usage and exits with 2."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line.

        Raises:
            GradlabError: Always.
        """
        raise GradlabError(f"{message}; {self.prog} --help lists the options")
