"""`python -m gradlab.cli` is the command `gradlab`."""

from gradlab.cli.command import main

main()
