"""Windows for truncated back-propagation: they tile the streams, one token ahead."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from training.corpus import Windows

lengths = st.integers(2, 40)
widths = st.integers(1, 12)


def windows_over(length: int, bptt: int, batch: int = 2) -> Windows:
    """Windows over streams of consecutive numbers."""
    return Windows(torch.arange(length * batch).view(batch, length).t().contiguous(), bptt)


@given(lengths, widths)
def test_the_windows_put_together_are_the_streams(length: int, bptt: int) -> None:
    """The inputs are the streams but for their last token, the targets but for their first."""
    windows = windows_over(length, bptt)

    inputs, targets = zip(*windows, strict=True)

    assert torch.equal(windows.ids_NB[:-1], torch.cat(inputs))
    assert torch.equal(windows.ids_NB[1:], torch.cat(targets))


@given(lengths, widths)
def test_a_target_is_the_token_after_the_input(length: int, bptt: int) -> None:
    """Within a window every target but the last is the next input."""
    for ids_TB, targets_TB in windows_over(length, bptt):
        assert torch.equal(ids_TB[1:], targets_TB[:-1])
        assert ids_TB.shape == targets_TB.shape


@given(lengths, widths)
def test_a_window_goes_on_where_the_last_one_ended(length: int, bptt: int) -> None:
    """The first input is the last target of the window before, so that a state can be carried."""
    windows = list(windows_over(length, bptt))

    for (_, before), (after, _) in pairwise(windows):
        assert torch.equal(before[-1], after[0])


@given(lengths, widths)
def test_every_window_but_the_last_is_full(length: int, bptt: int) -> None:
    """All windows have the asked-for width, and none is empty."""
    windows = windows_over(length, bptt)
    widths = [len(ids_TB) for ids_TB, _ in windows]

    assert len(windows) == len(widths)
    assert [bptt] * (len(widths) - 1) == widths[:-1]
    assert 1 <= widths[-1] <= bptt


def test_windows_can_be_passed_over_again() -> None:
    """A second pass gives the same windows, and so does asking for one by its number."""
    windows = windows_over(9, 4)

    first, second = list(windows), list(windows)

    assert 2 == len(first) == len(windows)
    for number, (ids_TB, _) in enumerate(first):
        assert torch.equal(ids_TB, second[number][0])
        assert torch.equal(ids_TB, windows[number][0])


def varied(seed: int = 3, length: int = 501) -> Windows:
    """Windows of about 10 tokens over two streams."""
    return Windows(torch.arange(2 * length).reshape(length, 2), 10, seed)


def test_varied_windows_tile_the_text_in_every_pass() -> None:
    """Each pass has as many windows as plain ones, of different lengths, and misses no token."""
    windows = varied()
    for epoch in range(3):
        pieces = [windows.window(epoch * len(windows) + i) for i in range(len(windows))]
        assert 50 == len(pieces)
        assert torch.equal(windows.ids_NB[:-1], torch.cat([ids for ids, _ in pieces]))
        assert torch.equal(windows.ids_NB[1:], torch.cat([targets for _, targets in pieces]))
        lengths = {len(ids) for ids, _ in pieces}
        assert min(lengths) >= 1
        assert len(lengths) > 3


def test_varied_windows_differ_from_pass_to_pass_but_not_from_run_to_run() -> None:
    """Seams move, by the seed and the pass alone."""

    def seams(windows: Windows, epoch: int) -> list[int]:
        return [len(windows.window(epoch * 50 + i)[0]) for i in range(50)]

    assert seams(varied(), 0) == seams(varied(), 0)
    assert seams(varied(), 0) != seams(varied(), 1)
    assert seams(varied(), 0) != seams(varied(seed=4), 0)
    assert [10] * 50 == seams(Windows(torch.zeros(501, 2), 10), 1)
