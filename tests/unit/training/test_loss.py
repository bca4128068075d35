"""The loss over a large vocabulary equals torch's own, in value and in every gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from training.loss import linear_cross_entropy, sampled_cross_entropy
from training.regularize import zipf_shares

VOCABULARY, FEATURES = 13, 4


def tensors(rows: int, seed: int = 0) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Hidden, weight and bias that want gradients, and targets."""
    torch.manual_seed(seed)
    shapes = ((rows, FEATURES), (VOCABULARY, FEATURES), (VOCABULARY,))
    return [torch.randn(shape, requires_grad=True) for shape in shapes], torch.randint(
        0, VOCABULARY, (rows,)
    )


@pytest.mark.parametrize("rows", [1, 2, 511, 512, 513, 1100])
def test_the_loss_is_torchs_cross_entropy(rows: int) -> None:
    """The value is torch's, however many blocks of rows it takes."""
    learned, targets = tensors(rows)

    ours = linear_cross_entropy(*learned, targets, torch.float32)

    torch.testing.assert_close(ours, cross_entropy(linear(*learned), targets))
    assert () == tuple(ours.shape)


@pytest.mark.parametrize("rows", [1, 512, 1100])
def test_the_gradients_are_torchs(rows: int) -> None:
    """The gradients for hidden, weight and bias are torch's, scaled like the loss."""
    learned, targets = tensors(rows)

    ours = torch.autograd.grad(3 * linear_cross_entropy(*learned, targets, torch.float32), learned)

    theirs = torch.autograd.grad(3 * cross_entropy(linear(*learned), targets), learned)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-6, rtol=1e-4)


def test_bfloat16_is_close() -> None:
    """With products in bfloat16 the value and the gradients are near those of float32."""
    learned, targets = tensors(700)
    exact = linear_cross_entropy(*learned, targets, torch.float32)
    wanted = torch.autograd.grad(exact, learned)

    rough = linear_cross_entropy(*learned, targets, torch.bfloat16)

    assert abs(rough.item() - exact.item()) < 0.02 * exact.item()
    for our, their in zip(torch.autograd.grad(rough, learned), wanted, strict=True):
        assert torch.float32 == our.dtype
        assert (our - their).norm() < 0.03 * their.norm()


def test_without_gradients_the_value_is_the_same() -> None:
    """Where nothing is learned the loss is the same and has no history."""
    learned, targets = tensors(600)
    exact = linear_cross_entropy(*learned, targets, torch.float32)

    with torch.no_grad():
        value = linear_cross_entropy(*learned, targets, torch.float32)

    assert exact.item() == value.item()
    assert not value.requires_grad


@pytest.mark.parametrize("gap", [20.0, 60.0, 90.0, 500.0])
def test_a_sure_and_wrong_model_is_charged_in_full(gap: float) -> None:
    """A target that the model holds for next to impossible costs what torch says, uncapped."""
    hidden, targets = torch.tensor([[1.0]]), torch.tensor([1])
    weight, bias = torch.tensor([[gap], [0.0]]), torch.zeros(2)

    loss = linear_cross_entropy(hidden, weight, bias, targets, torch.float32)

    assert gap == pytest.approx(loss.item(), rel=1e-4)


def test_a_loss_that_is_no_number_stays_none() -> None:
    """A NaN in the features comes out as NaN, so that divergence is seen."""
    learned, targets = tensors(3)

    loss = linear_cross_entropy(learned[0] * float("nan"), *learned[1:], targets, torch.float32)

    assert loss.isnan()


def test_nothing_handed_in_is_changed() -> None:
    """The loss writes to none of its arguments."""
    learned, targets = tensors(5)
    copies = [tensor.clone() for tensor in (*learned, targets)]

    linear_cross_entropy(*learned, targets, torch.float32).backward()

    for copy, tensor in zip(copies, (*learned, targets), strict=True):
        assert torch.equal(copy, tensor)


def test_a_sample_of_everything_is_nearly_the_whole() -> None:
    """With so many draws that no word is missed, the sampled loss is the exact one."""
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(40, 6), torch.randn(30, 6), torch.randn(30)
    targets = torch.randint(0, 30, (40,))

    exact = linear_cross_entropy(hidden, weight, bias, targets, torch.float32)
    sampled = sampled_cross_entropy(hidden, weight, bias, targets, 100_000, torch.float32)

    torch.testing.assert_close(sampled, exact, atol=1e-5, rtol=1e-5)


def test_a_sampled_loss_points_where_the_exact_one_does() -> None:
    """Averaged over many samples, its gradient on the hidden vectors is nearly the exact one's."""
    torch.manual_seed(1)
    hidden = (0.3 * torch.randn(64, 8)).requires_grad_()
    weight, bias = torch.randn(500, 8), -torch.arange(1, 501).log()
    targets = torch.multinomial(zipf_shares(500), 64, replacement=True)

    def gradient(loss: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(loss, hidden)[0].flatten()

    exact = gradient(linear_cross_entropy(hidden, weight, bias, targets, torch.float32))
    samples = [
        gradient(sampled_cross_entropy(hidden, weight, bias, targets, 200, torch.float32))
        for _ in range(50)
    ]
    mean = torch.stack(samples).mean(0)

    assert torch.nn.functional.cosine_similarity(mean, exact, dim=0) > 0.95


def test_only_drawn_words_learn() -> None:
    """Rows of the output matrix that were not in the sample get no gradient."""
    torch.manual_seed(2)
    weight = torch.randn(5000, 4).requires_grad_()
    bias = torch.zeros(5000, requires_grad=True)
    targets = torch.tensor([4000, 4001])

    sampled_cross_entropy(torch.randn(2, 4), weight, bias, targets, 50, torch.float32).backward()

    touched = weight.grad.abs().sum(1) > 0
    assert touched[targets].all()
    assert 2 <= touched.sum() <= 52
    assert torch.equal(touched, bias.grad != 0)
