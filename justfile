# List the recipes
default:
    @just --list

# Lint, formatting, types, import contracts
check:
    uv run --group dev ruff check
    uv run --group dev ruff format --check
    uv run --group dev pyright
    uv run --group dev lint-imports

# The tests; `just test -m slow` runs the long ones
test *arguments:
    uv run --group dev pytest -n auto {{arguments}}

# Does a small run work at all?
smoke:
    uv run gradlab train=smoke

# Wheel and source distribution, into dist/
build:
    uv build

# What README.md and docs/how-to/strategies.md show: docs/img, and the table of strategies on stdout
readme:
    uv run python scripts/readme_figures.py
    uv run python scripts/remedy_table.py

# The documentation, into docs/_build/html; opens from the folder, without a network
docs *arguments:
    uv run --group docs python -m sphinx -W --keep-going -b html {{arguments}} docs docs/_build/html

# Run every experiment and write docs/results.md: hours
reproduce:
    uv run gradlab-reproduce --page docs/results.md

