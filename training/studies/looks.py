"""How cells look in figures: a colour a family, a line style a variant.

Must not know: what is drawn.
"""

from __future__ import annotations

LOOKS = {
    "rnn_tanh": ("#777777", "-"),
    "rnn_relu": ("#c8553d", "-"),
    "rnn_relu (identity)": ("#c8553d", "--"),
    "lstm": ("#1f4e9c", "-"),
    "peephole_lstm": ("#1f4e9c", "--"),
    "cifg_lstm": ("#5aa9e6", "-"),
    "cifg_peephole_lstm": ("#5aa9e6", "--"),
    "gru": ("#2a9d5c", "-"),
    "gru_reset_before": ("#2a9d5c", "--"),
}
_UNKNOWN = ("black", ":")


def look(name: str) -> tuple[str, str]:
    """The colour and the line style of a cell."""
    return LOOKS.get(name, _UNKNOWN)
