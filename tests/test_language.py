"""Words that CONTRIBUTING.md's rules for plain English refuse: each has a better one in the field's own language."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFUSED = re.compile(
    r"\b(twins?|arms?|told|anew|this very|betrays?|in no time|nobody|stands? against|foretold|thereof)\b", re.IGNORECASE
)
TEXTS = ("*.md", "src/**/*.py", "configs/**/*.y*ml", "docs/**/*.md", "scripts/*.py", "tests/**/*.py")


def test_the_refused_words_are_found():
    assert REFUSED.findall("K arms, told anew") == ["arms", "told", "anew"]
    assert not REFUSED.search("armed, untold, alarm")


def test_no_text_has_a_refused_word():
    paths = {path for pattern in TEXTS for path in ROOT.glob(pattern) if "_build" not in path.parts}
    paths.remove(Path(__file__).resolve())
    assert len(paths) > 500
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in sorted(paths)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in REFUSED.finditer(line)
    ]
    assert not found, "\n".join(found)
