"""Python interface: `gradlab.run`, `sweep`, `load`, `explain` and `diff`, which the commands use too."""
