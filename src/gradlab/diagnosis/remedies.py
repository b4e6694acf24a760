"""The remedies for a verdict, as overrides for a given config."""

from dataclasses import dataclass

from gradlab.diagnosis.catalogue import CATALOGUE, Entry
from gradlab.diagnosis.config_facts import Facts, read_facts
from gradlab.diagnosis.recommendations import ANSWERS

__all__ = ["Facts", "Remedy", "applicable", "read_facts", "remedies_for"]


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A remedy for one config.

    Attributes:
        name: Name in tables.
        overrides: Overrides to add to the command line.
        strategy: Kind of remedy, such as ``initialization``.
        reason: Why it helps this config, in a sentence.
        source: Who published it.
        against: Names of the verdicts that it addresses.
    """

    name: str
    overrides: tuple[str, ...]
    strategy: str
    reason: str
    source: str
    against: frozenset[str]


def remedies_for(verdict: str, facts: Facts) -> list[Remedy]:
    """Return the remedies for a verdict, the most promising first.

    Remedies that the config has already, or that do not work with its model, are left out. An empty config has none.

    Args:
        verdict: Name of the verdict, such as ``vanishing``; unknown names and ``healthy`` have no remedies.
        facts: Facts of the config.
    """
    entries = {entry.name: entry for entry in CATALOGUE}
    candidates = [entries[name] for name in ANSWERS.get(verdict, ())]
    return _distinct([remedy for entry in candidates if entry.advised(facts) for remedy in _filled_in(entry, facts)])


def applicable(facts: Facts) -> list[Remedy]:
    """Return every remedy that the remedies sweep can try on a config, in the catalogue's order."""
    return _distinct([remedy for entry in CATALOGUE if entry.swept for remedy in _filled_in(entry, facts)])


def _filled_in(entry: Entry, facts: Facts) -> list[Remedy]:
    """Return an entry's remedy for a config, without the overrides that it has already; empty if nothing is left."""
    if not facts.values or facts.model not in entry.models or not entry.fits(facts):
        return []
    words = facts.words
    filled = [part.format(**words) for part in entry.overrides]
    changed = {text.partition("=")[0] for text in filled if not facts.on(text)}
    # Another option of a group starts from its own defaults, so its keys are set even if their values do not change.
    overrides = tuple(text for text in filled if {text.partition("=")[0], text.partition(".")[0]} & changed)
    if not overrides:
        return []
    return [
        Remedy(
            name=entry.name,
            overrides=overrides,
            strategy=entry.strategy,
            reason=entry.reason.format(**words),
            source=entry.source,
            against=frozenset(verdict for verdict, names in ANSWERS.items() if entry.name in names),
        )
    ]


def _distinct(remedies: list[Remedy]) -> list[Remedy]:
    """Drop remedies with the same overrides as an earlier one."""
    by_overrides: dict[tuple[str, ...], Remedy] = {}
    for remedy in remedies:
        by_overrides.setdefault(remedy.overrides, remedy)
    return list(by_overrides.values())
