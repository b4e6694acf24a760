"""From a verdict to the overrides that address it, for the config at hand."""

from dataclasses import dataclass

from gradlab.diagnosis.catalogue import CATALOGUE, Entry
from gradlab.diagnosis.facts import Facts, read_facts
from gradlab.diagnosis.recommendations import ANSWERS

__all__ = ["Facts", "Remedy", "applicable", "read_facts", "remedies_for"]


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What may help a config.

    Attributes:
        name: Its name in tables.
        overrides: What to add to the command line; none of them is on already.
        strategy: What kind of remedy it is, such as ``initialization``.
        reason: Why it helps this config, in a sentence.
        source: Who published it.
        against: The verdicts it addresses.
    """

    name: str
    overrides: tuple[str, ...]
    strategy: str
    reason: str
    source: str
    against: frozenset[str]


def remedies_for(verdict: str, facts: Facts) -> list[Remedy]:
    """Return what addresses a verdict, the most promising first.

    Never what is on already or what the model cannot take; none for a config of which nothing is known.

    Args:
        verdict: Its name, such as ``vanishing``; unknown names and ``healthy`` have no remedies.
        facts: What is known of the config.
    """
    entries = {entry.name: entry for entry in CATALOGUE}
    chosen = [entries[name] for name in ANSWERS.get(verdict, ())]
    return _distinct([remedy for entry in chosen if entry.advised(facts) for remedy in _filled_in(entry, facts)])


def applicable(facts: Facts) -> list[Remedy]:
    """Return every remedy that the remedies sweep can try on a config, in the catalogue's order."""
    return _distinct([remedy for entry in CATALOGUE if entry.swept for remedy in _filled_in(entry, facts)])


def _filled_in(entry: Entry, facts: Facts) -> list[Remedy]:
    """Return an entry as the remedy it is for a config, without the overrides that are on; none where it is no use."""
    if not facts.values or facts.model not in entry.models or not entry.fits(facts):
        return []
    words = facts.words
    wanted = [part.format(**words) for part in entry.overrides]
    switched = {text.partition("=")[0] for text in wanted if not facts.on(text)}
    # Another option of a group starts from its own defaults, so its keys are needed even where they are as they were.
    overrides = tuple(text for text in wanted if {text.partition("=")[0], text.partition(".")[0]} & switched)
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
    """Leave out what would override the same as an earlier one."""
    found: dict[tuple[str, ...], Remedy] = {}
    for remedy in remedies:
        found.setdefault(remedy.overrides, remedy)
    return list(found.values())
