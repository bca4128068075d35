"""Who of several processes reads which streams. (That they learn together: tests/e2e.)"""

from __future__ import annotations

import pytest
import torch

from training.distributed import Ranks, joined
from training.errors import ConfigError


def test_streams_are_shared_without_gap_or_overlap() -> None:
    """Each process has its block, in the order of the ranks."""
    shares = [Ranks(rank, 3).share(12) for rank in range(3)]
    assert list(range(12)) == [n for share in shares for n in range(12)[share]]
    assert {4} == {share.stop - share.start for share in shares}


@pytest.mark.parametrize(
    ("streams", "said"), [(2, "3 processes for 2 streams"), (7, "does not divide by 3")]
)
def test_streams_that_cannot_be_shared_are_refused(streams: int, said: str) -> None:
    """Too few, or not evenly."""
    with pytest.raises(ConfigError, match=said):
        Ranks(0, 3).share(streams)


def test_one_process_agrees_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchrun nothing is exchanged, and nothing changes."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    tensor = torch.arange(3.0)
    with joined() as ranks:
        ranks.average([tensor])
        ranks.wait()
        assert [1.5, 2.0] == ranks.sum(1.5, 2.0)
        assert [[0.0, 1.0, 2.0]] == [found.tolist() for found in ranks.gather(tensor)]
        assert ranks.first
