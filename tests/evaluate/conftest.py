"""Fixtures of the probes' tests."""

from pathlib import Path

import pytest
from evaluate.probed import PLANTED, corpus, model_on


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of random weights on a small corpus with canaries; its DATA is two folders above."""
    data = tmp_path_factory.mktemp("probed")
    return model_on(corpus(data, PLANTED), data)
