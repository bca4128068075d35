"""The findings of the study `gradients` as a table and as sentences.

Must not know: nets, training, figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from training.studies.explosion import Series
from training.studies.gradient_flow import Curve, factor_per_step
from training.studies.study import Row

NEAR = 10
"""Where the factor a step begins to be counted: before, the read-out's direction still shows."""
MIDDLE = 50
FAR = 100
"""The farthest distance measured."""
_LEARNT = 0.9
"""The share recalled from which a net is said to have learnt the task."""


def rows(before: Sequence[Curve], after: Sequence[Curve], series: Sequence[Series]) -> list[Row]:
    """A row a curve, then a row a series; what does not apply is left blank."""
    return [
        *(_curve_row("initialisation", curve) for curve in before),
        *(_curve_row("trained", curve) for curve in after),
        *(_series_row(one) for one in series),
    ]


def sentences(
    before: Sequence[Curve], after: Sequence[Curve], series: Sequence[Series]
) -> list[str]:
    """What came out."""
    return [
        _reach("At initialisation", before),
        _reach("After training", after),
        _change(before, after),
        _memory(after),
        *(_explosion(*pair) for pair in zip(series[::2], series[1::2], strict=True)),
    ]


def _curve_row(when: str, curve: Curve) -> Row:
    low, middle, high = (curve.at(quantile) for quantile in (0.25, 0.5, 0.75))
    return {
        "when": when,
        "net": curve.name,
        "share_10": float(middle[NEAR]),
        "share_50": float(middle[MIDDLE]),
        "share_100": float(middle[FAR]),
        "share_100_q1": float(low[FAR]),
        "share_100_q3": float(high[FAR]),
        "factor_per_step": _factor(curve),
        "recall": median(curve.recalls) if curve.recalls else "",
        "learnt": fmean(recall >= _LEARNT for recall in curve.recalls) if curve.recalls else "",
        **dict.fromkeys(("largest_gradient", "jumped", "diverged"), ""),
    }


def _series_row(series: Series) -> Row:
    shares = ("share_10", "share_50", "share_100", "share_100_q1", "share_100_q3")
    return {
        "when": "descent, no clip" if series.clip is None else f"descent, clip {series.clip:g}",
        "net": series.subject.name,
        **dict.fromkeys((*shares, "factor_per_step", "recall", "learnt"), ""),
        "largest_gradient": series.largest_gradient,
        "jumped": series.jumped,
        "diverged": series.diverged,
    }


def _factor(curve: Curve) -> float:
    return factor_per_step(curve.at(0.5), NEAR, FAR)


def _share(curve: Curve) -> float:
    return float(curve.at(0.5)[FAR])


def _reach(when: str, curves: Sequence[Curve]) -> str:
    """Every net's factor a step, and what is left in the end of the most and of the least."""
    ranked = sorted(curves, key=_factor)
    factors = ", ".join(f"{_factor(curve):.3f} in {curve.name}" for curve in ranked)
    least, most = ranked[0], ranked[-1]
    return (
        f"{when} the gradient takes this factor a step: {factors}. At distance {FAR} there is "
        f"{_share(least):.1g} of it in {least.name} and {_share(most):.1g} in {most.name}."
    )


def _change(before: Sequence[Curve], after: Sequence[Curve]) -> str:
    """In which nets training let the gradient reach farther."""
    changes = [
        (old.name, _share(old) < _share(new)) for old, new in zip(before, after, strict=True)
    ]
    farther = [name for name, grew in changes if grew]
    return (
        f"Training raised the share at distance {FAR} in {len(farther)} of {len(changes)} kinds of "
        f"net ({', '.join(farther) or 'none'})."
    )


def _memory(after: Sequence[Curve]) -> str:
    """Which nets remember, and whether those that do also have a gradient."""
    learnt = {curve.name: [recall >= _LEARNT for recall in curve.recalls] for curve in after}
    shares = sorted(
        float(share)
        for curve in after
        for did, share in zip(learnt[curve.name], curve.shares_ST[:, FAR], strict=True)
        if did
    )
    counts = ", ".join(f"{name} {sum(did)} of {len(did)}" for name, did in learnt.items())
    spread = (
        f"; among these the share at distance {FAR} runs from {shares[0]:.1g} to {shares[-1]:.1g}, "
        f"with a median of {median(shares):.1g}"
        if shares
        else ""
    )
    return f"Nets that learnt to recall {_LEARNT:.0%} or more: {counts}{spread}."


def _explosion(free: Series, clipped: Series) -> str:
    """What the clip did for one net."""
    return (
        f"Plain descent on {free.subject.name}: without a clip {free.diverged:.0%} of the runs "
        f"diverged and {free.jumped:.0%} had their loss jump, with a clip {clipped.diverged:.0%} "
        f"and {clipped.jumped:.0%}; the largest gradient, in the median, was "
        f"{free.largest_gradient:.2g} and {clipped.largest_gradient:.2g}."
    )
