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

from dataclasses import dataclass
from functools import partial

from training.studies import timing_told as told
from training.studies.study import Findings, Options, Study
from training.studies.timing_figure import draw
from training.studies.timing_tasks import Task
from training.studies.timing_training import Job, Plan, train

TASKS = (
    Task("spikes", 10),
    Task("spikes", 15),
    Task("cosine", 10),
    Task("cosine", 25),
    Task("triangle", 10),
    Task("triangle", 25),
    Task("rectangle", 10),
)
