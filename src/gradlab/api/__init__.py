"""The Python interface: `gradlab.run`, `sweep`, `load`, `explain` and `diff`, on which the commands stand too."""
