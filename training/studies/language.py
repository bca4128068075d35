"""Study `language`: every cell as a language model of the same number of weights.

Must not know: how a step is taken, how cells are built.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from matplotlib.figure import Figure

from training.config import CELLS, Cell
from training.errors import CorpusError
from training.studies.agreement import write_corpus
from training.studies.contest import Entry, Rules, Text, enter, read_text, same_size
from training.studies.language_figure import draw
from training.studies.ranking import Ranking, rank
from training.studies.study import Findings, Options, Row, Study
