"""Expand word lattices (HTK's Standard Lattice Format) to the k best word sequences, exactly.

A lattice says the same words many times, with times and pronunciations that differ. So the search goes over word
sequences, not over paths: a state is the set of nodes that a sequence of words can have reached, each with the
best way to it, and the queue is ordered by the score so far plus the best score from there to the end (A* with an
exact estimate: Soong and Huang 1991). The k-th sequence that comes out is the k-th best, and none comes twice.

    VERSION=1.0
    N=3 L=2
    I=0 W=!NULL
    J=0 S=0 E=1 W=hello a=-10.5 l=-2.1
"""

import heapq
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmpipe.apply.nbest import NBest, filled, number
from lmpipe.errors import InputError

SILENT = frozenset(("!NULL", "!SENT_START", "!SENT_END", "<s>", "</s>", "<eps>", "!ENTER", "!EXIT"))
"""Labels that are no words."""

LONG = {
    "NODES": "N",
    "LINKS": "L",
    "START": "S",
    "END": "E",
    "WORD": "W",
    "var": "v",
    "div": "d",
    "acoustic": "a",
    "language": "l",
    "ngram": "n",
    "pronunciation": "r",
    "time": "t",
    "TIME": "t",
}
"""HTK's long names of fields."""

NAMES = {"a": "acoustic", "l": "lm", "n": "ngram", "r": "pronunciation"}
"""What a link's scores are called here; others keep their letter."""

NOT_SCORES = frozenset(("J", "S", "E", "W", "v", "d", "s", "p"))
"""Fields of a link that are none: ends, labels, alignments and posteriors."""

Way = tuple[float, tuple["Link", ...]]
"""Score and links of one way through the lattice."""


class Link(NamedTuple):
    """An arc, with the word that it says."""

    start: int
    end: int
    word: str | None
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """An acyclic graph of words."""

    utterance: str
    links: list[list[Link]]
    """By the node in which they begin."""
    rank: list[int]
    """Place of each node in an order in which all links lead forward."""
    start: int
    end: int
    scales: dict[str, float] = field(default_factory=dict)
    """Weights that the lattice itself names: acscale, lmscale, prscale, wdpenalty, by name of score."""


def read_slf(path: Path) -> Lattice:
    """Read one lattice, compressed or not; scores are put to the natural logarithm where `base` says another.

    Raises InputError for what is no lattice: a cycle, a node that is not there, several starts or ends.
    """
    header: dict[str, str] = {}
    nodes: dict[int, dict[str, str]] = {}
    arcs: list[tuple[str, dict[str, str]]] = []
    for where, line in filled(path):
        if line.lstrip().startswith("#"):
            continue
        fields = parse_fields(line, where)
        if "I" in fields:
            nodes[whole(fields["I"], where)] = fields
        elif "J" in fields:
            arcs.append((where, fields))
        else:
            header |= fields
    logarithm = math.log(number(header.get("base", str(math.e)), str(path)) or math.e)
    links: list[list[Link]] = [[] for _ in nodes]
    for where, arc in arcs:
        link = make_link(arc, nodes, logarithm, where)
        links[link.start].append(link)
    start, end = ends(header, links, path)
    utterance = header.get("UTTERANCE") or path.name.removesuffix(".gz").removesuffix(".slf").removesuffix(".lat")
    return Lattice(
        utterance=utterance,
        links=links,
        rank=topological(links, path),
        start=start,
        end=end,
        scales=header_scales(header, path),
    )


def parse_fields(line: str, where: str) -> dict[str, str]:
    """Split `name=value ...`, with HTK's quotes and backslashes."""
    try:
        parts = shlex.split(line) if any(c in line for c in '"\\') else line.split()
    except ValueError as error:
        raise InputError(f"{where}: {error}. Repair the line of the lattice.") from None
    pairs = [part.partition("=") for part in parts]
    if any(not separator for _, separator, _ in pairs):
        raise InputError(f"{where}: expected name=value fields of a lattice in SLF, found {line!r}. Repair the line.")
    return {LONG.get(name, name): value for name, _, value in pairs}


def whole(text: str, where: str) -> int:
    """Read a node or link number."""
    if not text.isdecimal():
        raise InputError(f"{where}: expected a number of a node, found {text!r}. Repair the lattice.")
    return int(text)


def make_link(arc: Mapping[str, str], nodes: Mapping[int, Mapping[str, str]], logarithm: float, where: str) -> Link:
    """Lay out an arc; its word is its own, or that of the node that it leads to."""
    try:
        start, end = whole(arc["S"], where), whole(arc["E"], where)
    except KeyError as error:
        raise InputError(f"{where}: a link without {error}. Repair the lattice.") from None
    for node in (start, end):
        if not 0 <= node < len(nodes) or node not in nodes:
            raise InputError(f"{where}: node {node} is not among the {len(nodes)} of the lattice. Fetch it again.")
    word = arc.get("W") or nodes[end].get("W")
    scores: dict[str, float] = {}
    for name, value in arc.items():
        if name not in NOT_SCORES:
            several = value.split(",")
            for place, part in enumerate(several):
                key = NAMES.get(name, name) + (f".{place}" if len(several) > 1 else "")
                scores[key] = number(part, where) * logarithm
    return Link(start, end, None if word is None or word in SILENT else word, scores)


def ends(header: Mapping[str, str], links: Sequence[Sequence[Link]], path: Path) -> tuple[int, int]:
    """Find the first and the last node: named in the header, or the only ones without links in or out."""
    entered = {link.end for some in links for link in some}
    first = [node for node in range(len(links)) if node not in entered]
    last = [node for node, some in enumerate(links) if not some]
    found = []
    for name, candidates in (("start", first), ("end", last)):
        if name in header:
            candidates = [whole(header[name], str(path))]
        if len(candidates) != 1:
            raise InputError(f"{path}: expected one {name} node, found {len(candidates)}. Name it: {name}=N.")
        found += candidates
    return found[0], found[1]


def topological(links: Sequence[Sequence[Link]], path: Path) -> list[int]:
    """Number the nodes so that links lead forward; raises InputError for a cycle."""
    waiting = [0] * len(links)
    for some in links:
        for link in some:
            waiting[link.end] += 1
    ready = [node for node, number_in in enumerate(waiting) if not number_in]
    for node in ready:  # grows as it is read
        for link in links[node]:
            waiting[link.end] -= 1
            if not waiting[link.end]:
                ready.append(link.end)
    if len(ready) != len(links):
        raise InputError(f"{path}: the lattice has a cycle. Make an acyclic one.")
    rank = [0] * len(links)
    for place, node in enumerate(ready):
        rank[node] = place
    return rank


def header_scales(header: Mapping[str, str], path: Path) -> dict[str, float]:
    """Read the weights that the recogniser used; 1 for acoustic and language model where it names none."""
    keys = {"acscale": "acoustic", "lmscale": "lm", "prscale": "pronunciation", "wdpenalty": "words"}
    named = {name: number(header[key], str(path)) for key, name in keys.items() if key in header}
    return {"acoustic": 1.0, "lm": 1.0} | named


def expand(lattice: Lattice, k: int, weights: Mapping[str, float] | None = None) -> NBest:
    """List the k best word sequences by `weights` (the lattice's own where None), each with its best way's scores.

    Equal scores come in the order of the words. A lattice of fewer sequences gives them all.
    """
    weights = lattice.scales if weights is None else weights
    sequences = list(best_sequences(lattice, k, weights))
    if not sequences:
        raise InputError(f"utterance {lattice.utterance}: no way leads through the lattice. Fetch it again.")
    names = sorted({name for some in lattice.links for link in some for name in link.scores})
    texts = [" ".join(words) for words, _ in sequences]
    sums = {name: np.array([sum(link.scores.get(name, 0.0) for link in way) for _, way in sequences]) for name in names}
    counted = {"words": np.array([len(words) for words, _ in sequences], np.float64)}
    return NBest(utterance=lattice.utterance, texts=texts, scores=counted | sums)


def best_sequences(
    lattice: Lattice, k: int, weights: Mapping[str, float]
) -> Iterator[tuple[tuple[str, ...], tuple[Link, ...]]]:
    """Yield words and links of the k best sequences, best first."""
    ahead = best_ahead(lattice, weights)
    tie = count()
    queue: list[tuple[float, tuple[str, ...], int, dict[int, Way] | Way]] = []

    def push(words: tuple[str, ...], reached: dict[int, Way]) -> None:
        reached = silent_closure(lattice, reached, weights)
        hopes = [score + ahead[node] for node, (score, _) in reached.items()]
        if hopes and max(hopes) > -math.inf:
            heapq.heappush(queue, (-max(hopes), words, next(tie), reached))

    push((), {lattice.start: (0.0, ())})
    while queue and k:
        _, words, _, reached = heapq.heappop(queue)
        if isinstance(reached, tuple):
            yield words, reached[1]
            k -= 1
            continue
        if lattice.end in reached:
            finished = reached[lattice.end]
            heapq.heappush(queue, (-finished[0], words, next(tie), finished))
        for word, after in spoken(lattice, reached, weights).items():
            push((*words, word), after)


def best_ahead(lattice: Lattice, weights: Mapping[str, float]) -> list[float]:
    """Compute the best score from each node to the end."""
    ahead = [-math.inf] * len(lattice.links)
    ahead[lattice.end] = 0.0
    for node in sorted(range(len(ahead)), key=lattice.rank.__getitem__, reverse=True):
        for link in lattice.links[node]:
            ahead[node] = max(ahead[node], link_score(link, weights) + ahead[link.end])
    return ahead


def link_score(link: Link, weights: Mapping[str, float]) -> float:
    """Weigh the scores of a link; `words` counts the word that it says."""
    total = weights.get("words", 0.0) if link.word is not None else 0.0
    return total + sum(weights.get(name, 0.0) * score for name, score in link.scores.items())


def follow(reached: dict[int, Way], way: Way, link: Link, weights: Mapping[str, float]) -> None:
    """Go along a link, if no better way to its end is known."""
    score = way[0] + link_score(link, weights)
    if link.end not in reached or score > reached[link.end][0]:
        reached[link.end] = (score, (*way[1], link))


def silent_closure(lattice: Lattice, reached: dict[int, Way], weights: Mapping[str, float]) -> dict[int, Way]:
    """Add the nodes that can be reached without a word."""
    reached = dict(reached)
    ahead = [(lattice.rank[node], node) for node in reached]
    heapq.heapify(ahead)
    while ahead:
        _, node = heapq.heappop(ahead)
        for link in lattice.links[node]:
            if link.word is None:
                if link.end not in reached:
                    heapq.heappush(ahead, (lattice.rank[link.end], link.end))
                follow(reached, reached[node], link, weights)
    return reached


def spoken(lattice: Lattice, reached: Mapping[int, Way], weights: Mapping[str, float]) -> dict[str, dict[int, Way]]:
    """Find the nodes behind each word that can come next."""
    after: dict[str, dict[int, Way]] = {}
    for node, way in reached.items():
        for link in lattice.links[node]:
            if link.word is not None:
                follow(after.setdefault(link.word, {}), way, link, weights)
    return after
