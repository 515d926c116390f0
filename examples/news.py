"""Stories from headlines: one prompt each, drawn three times, the most probable by the model itself first.

    python examples/news.py data/runs/demo-transformer-1a2b3c4d "Company plans new factory" "公司计划建设新工厂"

A model writes news as it has read news: train it on the recipe's news source, whose documents begin with the headline
where `fields = { text = ... }` names a column that holds both. Any run works; a small one writes its corpus' noise.
"""

import sys
from dataclasses import replace
from pathlib import Path

from lmpipe.apply.decoding import Decoding
from lmpipe.apply.generate import Continuation, open_model
from lmpipe.apply.prompts import fill

DECODING = Decoding(max_tokens=60, temperature=0.8, top_p=0.95, repetition_penalty=1.1)
DRAWS = 3


def stories(run: Path, headlines: list[str]) -> list[tuple[str, Continuation]]:
    """Write DRAWS stories for each headline and keep the most probable one a token."""
    model = open_model(run)
    chosen = []
    for number, headline in enumerate(headlines):
        prompt = model.encode(fill("news", headline))
        draws = model.write_all([prompt] * DRAWS, replace(DECODING, seed=number))
        chosen.append((headline, min(draws, key=lambda one: sum(one.nats) / len(one.nats))))
    return chosen


if __name__ == "__main__":
    for headline, story in stories(Path(sys.argv[1]), sys.argv[2:]):
        print(f"{headline}\n\n{story.text}\n({sum(story.nats) / len(story.nats):.2f} nats a token)\n")
