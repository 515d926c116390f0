"""Lattices: what comes out is what listing every way would give, in order, each sequence of words once."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.apply.lattice import Lattice, Link, expand, link_score, read_slf, topological
from lmpipe.errors import InputError

SMALL = """VERSION=1.0
lmscale=2.0 wdpenalty=-0.5
N=4 L=4
I=0 W=!NULL
I=1 W=yes
I=2 W=yes
I=3 W=!NULL
J=0 S=0 E=1 a=-1.0 l=-1.0
J=1 S=0 E=2 a=-0.5 l=-1.0
J=2 S=1 E=3 W="it\\"s" a=-3.8 l=-1
J=3 S=2 E=3 a=-3 l=-2
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def every_way(lattice: Lattice, node: int, weights: dict[str, float]) -> Iterator[tuple[float, tuple[str, ...]]]:
    if node == lattice.end:
        yield 0.0, ()
    for link in lattice.links[node]:
        for score, words in every_way(lattice, link.end, weights):
            said = () if link.word is None else (link.word,)
            yield link_score(link, weights) + score, (*said, *words)


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    """Links only lead from lower to higher nodes; every node but the last has one."""
    size = draw(st.integers(2, 6))
    words = st.sampled_from(["a", "b", None])
    score = st.integers(-8, 8).map(lambda x: x / 4)
    links: list[list[Link]] = [[] for _ in range(size)]
    for start in range(size - 1):
        for end in [start + 1, *draw(st.lists(st.integers(start + 1, size - 1), max_size=3))]:
            links[start].append(Link(start, end, draw(words), {"acoustic": draw(score), "lm": draw(score)}))
    return Lattice(utterance="u", links=links, rank=topological(links, Path("x")), start=0, end=size - 1)


@settings(max_examples=60)
@given(lattices(), st.integers(1, 12))
def test_the_k_best_are_those_of_all_ways(lattice: Lattice, k: int) -> None:
    weights = {"acoustic": 1.0, "lm": 0.5, "words": -0.25}
    best: dict[str, float] = {}
    for score, words in every_way(lattice, lattice.start, weights):
        best[" ".join(words)] = max(score, best.get(" ".join(words), -math.inf))
    found = expand(lattice, k, weights)
    totals = [sum(w * found.scores[name][i] for name, w in weights.items()) for i in range(len(found.texts))]
    assert len(set(found.texts)) == len(found.texts) == min(k, len(best))
    assert totals == [best[text] for text in found.texts]
    assert totals == sorted(best.values(), reverse=True)[:k]


def test_the_lattices_own_scales_are_used(tmp_path: Path) -> None:
    lattice = read_slf(write(tmp_path / "u.lat", SMALL))
    assert expand(lattice, 1, {"acoustic": 1.0, "lm": 1.0}).texts == ["yes"]
    found = expand(lattice, 5)
    assert found.utterance == "u"
    assert found.texts == ['yes it"s', "yes"]
    assert found.scores["acoustic"].tolist() == [-4.8, -3.5]
    assert found.scores["lm"].tolist() == [-2.0, -3.0]
    assert found.scores["words"].tolist() == [2, 1]


def test_scores_of_another_base_become_natural_logarithms(tmp_path: Path) -> None:
    found = expand(read_slf(write(tmp_path / "u.lat", "base=10\n" + SMALL)), 1)
    assert found.scores["acoustic"][0] == pytest.approx(-4.8 * math.log(10))


def test_the_ami_lattice_gives_the_list_that_came_with_it(corpora: Path) -> None:
    (path,) = (corpora / "speech" / "ami-lattice").glob("*.lat.gz")
    found = expand(read_slf(path), 100)
    rows = path.with_name(path.name.replace(".lat.gz", ".nbest")).read_text().splitlines()
    assert found.texts == [" ".join(row.split("|")[1].split()) for row in rows]
    for place, row in enumerate(rows):
        acoustic, lm = map(float, row.split()[1:3])
        assert found.scores["acoustic"][place] == pytest.approx(acoustic, abs=0.002)
        assert found.scores["lm"][place] == pytest.approx(lm, abs=0.002)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("J=3 S=2 E=3", "J=3 S=2 E=7", "node 7 is not among the 4"),
        ("J=3 S=2 E=3", "J=3 S=2 E=2", "expected one end node, found 0|cycle"),
        ("J=3 S=2 E=3", "J=3 E=3", "a link without 'S'"),
        ("I=3 W=!NULL", "hello there", "expected name=value fields"),
        ("J=3 S=2 E=3 a=-3 l=-2\n", "", "expected one end node, found 2"),
        ("a=-0.5", "a=x", "expected a number, found 'x'"),
    ],
)
def test_damaged_lattices_are_refused_with_their_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_slf(write(tmp_path / "u.lat", SMALL.replace(old, new)))
