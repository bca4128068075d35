"""Writes the corpus in tests/data/tiny: sentences whose end must agree with their beginning.

Who saw and what was seen come back after a stretch of places, and the verb goes with the animal
and its number, so that a model has to carry three things over 4 to 19 words.
Run `python tests/data/make_tiny.py` to write it anew; the seed makes it the same each time.
"""

from __future__ import annotations

import random
from pathlib import Path

NAMES = ("Anna", "Ben", "Clara", "David")
ANIMALS = {"dog": "bark", "cat": "sleep", "bird": "sing", "horse": "run"}
PLACES = ("near the gate", "by the lake", "under the tree")
PLACE_COUNTS, PLACE_WEIGHTS = (1, 2, 3, 4, 5), (4, 2, 2, 1, 1)
SENTENCES = {"train": 2400, "valid": 150, "test": 150}
SENTENCES_A_DIALOGUE = 6


def sentence(chance: random.Random) -> str:
    """One sentence, its agreements kept over one to five places."""
    name, animal = chance.choice(NAMES), chance.choice(tuple(ANIMALS))
    plural = chance.random() < 0.5
    noun = f"{animal}s" if plural else animal
    verb = ANIMALS[animal] if plural else f"{ANIMALS[animal]}s"
    [distance] = chance.choices(PLACE_COUNTS, PLACE_WEIGHTS)
    places = " ".join(chance.choice(PLACES) for _ in range(distance))
    return f"{name} saw the {noun} {places}, and the {noun} {verb} for {name}."


def main() -> None:
    """Write train.txt, valid.txt and test.txt."""
    chance = random.Random(7)
    folder = Path(__file__).parent / "tiny"
    folder.mkdir(exist_ok=True)
    for split, count in SENTENCES.items():
        lines = []
        for number in range(count):
            if number and number % SENTENCES_A_DIALOGUE == 0:
                lines.append("")
            lines.append(sentence(chance))
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
