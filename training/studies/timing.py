"""Study `timing`: whether a net of one memory cell keeps time, with peepholes and without.

Where it leaves Gers, Schraudolph & Schmidhuber (2002): the input, which is always zero in these
tasks, and its four weights are left out (13 weights of 17 remain with peepholes, 10 of 14 without);
the gradient is the whole one, theirs was truncated at the gates; a net learns once a stream by
Adam, theirs at every step by gradient descent with momentum. As there: one cell, identities in both
places of tanh, the start of weights and biases, logistic output for spikes and linear output for
functions, errors too large from 0.49 and 0.3, streams that end at the first such error, no teacher
forcing.
Must not know: equations, how nets learn, how figures are drawn.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from itertools import islice, product

from training.studies import timing_told as told
from training.studies.study import Findings, Options, Study
from training.studies.timing_figure import draw
from training.studies.timing_nets import used_weights
from training.studies.timing_tasks import Task
from training.studies.timing_training import Job, Plan, train

EXPECTED = """\
A gate that does not see the memory cell cannot tell how much is in it while the output gate is
shut. With peepholes the nets of Gers, Schraudolph & Schmidhuber (2002) learnt to generate timed
spikes without any input, and without them none did; periodic functions, too, were learnt better
with peepholes."""


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    tasks: tuple[Task, ...]
    plan: Plan
    seeds: int
    rates: tuple[float, ...]
    """Learning rates; each kind is compared at its best."""


FULL = Sizes(
    tasks=(
        Task("spikes", 10),
        Task("spikes", 15),
        Task("cosine", 10),
        Task("cosine", 25),
        Task("triangle", 10),
        Task("triangle", 25),
        Task("rectangle", 10),
    ),
    plan=Plan(steps=2_500_000),
    seeds=20,
    rates=(3e-3, 1e-2, 3e-2, 1e-1),
)
QUICK = Sizes(
    tasks=(Task("spikes", 2), Task("cosine", 2), Task("triangle", 3), Task("rectangle", 5)),
    plan=Plan(steps=3_000, stretch=2, examination=4, endurance=8, examine_every=500),
    seeds=2,
    rates=(2e-2, 5e-2),
)


def run(options: Options) -> Findings:
    """Train all nets of all tasks side by side."""
    started_s = time.process_time()
    sizes = QUICK if options.quick else FULL
    seeds = options.seeds or sizes.seeds
    kinds = list(product(sizes.tasks, (True, False), sizes.rates))
    jobs = [Job(*kind, seed) for kind in kinds for seed in range(1, seeds + 1)]
    outcomes = iter(train(jobs, sizes.plan))
    groups = [told.Group(*kind, sizes.plan, list(islice(outcomes, seeds))) for kind in kinds]
    pairs = told.paired(groups)
    return Findings(
        rows=told.rows(pairs),
        draw=partial(draw, pairs=pairs),
        outcome=[
            *told.sentences(pairs),
            f"All took {(time.process_time() - started_s) / 60:.1f} minutes of processor time.",
        ],
        seeds=seeds,
        setting=_setting(sizes),
    )


def _setting(sizes: Sizes) -> str:
    plan = sizes.plan
    seeing, blind = (used_weights(peepholes=peepholes).sum() for peepholes in (True, False))
    constants = ", ".join(f"{task.target_T.std():.2f} on {task.name}" for task in sizes.tasks)
    return f"""\
Task: without any input, from a state of zeros, put out the same target period after period; periods
are in steps. Nets: one memory cell without squashing and one output, {seeing} weights with
peepholes, {blind} without: the paper's 17 and 14 less the four of an input that is always zero. A
training stream ends at the first error of {_tolerances(sizes)}, or after {plan.stretch} periods.
Behind it the net learns from it by one step of Adam, with the whole gradient of the mean squared
error (the paper: a truncated one, and momentum, at every step of time), components clipped at
{plan.clip:g}, learning rates of {", ".join(f"{rate:g}" for rate in sizes.rates)} falling to zero
over {plan.steps:,} steps of time.

Solved: every {plan.examine_every:,} steps the last weights that came through a whole stream are
frozen and run on their own for {plan.examination} periods; if no error is too large they are the
solution. Enduring: the solution lasts {plan.endurance:,} periods. Right at the end: training goes
on behind a solution, and the last weights of all last {plan.examination} periods; `rms_error` is
theirs over that time (an output that is constant has {constants}), and they last `periods_at_end`.
`steps` and `streams` are those before a solution, `longest_stream` is in periods; all are medians
over the nets. Intervals are Wilson's, of 95 %. By each measure both kinds of net are compared at
the learning rate that did best for them on the task (`best`: by the nets that solved it), over the
same seeds, which flatters both."""


def _tolerances(sizes: Sizes) -> str:
    kinds = {task.is_binary: task.tolerance for task in sizes.tasks}
    return f"{kinds[True]:g} for spikes or {kinds[False]:g} for functions"


STUDY = Study(
    name="timing",
    title="Precise timing, with peepholes and without",
    expected=EXPECTED,
    run=run,
)
