"""Weights in a file beside the graphs: put inside for who asks, refused where they may not lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import bundle
from models.errors import AlteredFileError, GraphError, MissingFileError, UnsafePathError
from models.manifest import Graphs
from tests.unit.models import support
from tests.unit.models.vandals import Case, Spoil, assert_refused, drop, edit, flip, remove, reseal

DATA = "weights.bin"
CONTENT = np.arange(18, dtype=np.float32).tobytes()
LENGTHS = {"embedding": 48, "more": 48, "output": 72}

Change = Callable[[onnx.ModelProto], object]


def outside(tensor: str, **entries: str | None) -> Change:
    """Keep a weight in bytes 0 and on of the data file; an entry may be another, or none."""

    def move(model: onnx.ModelProto) -> None:
        (found,) = (one for one in model.graph.initializer if one.name == tensor)
        found.ClearField("raw_data")
        found.data_location = TensorProto.EXTERNAL
        del found.external_data[:]
        usual = {"location": DATA, "offset": "0", "length": str(LENGTHS[tensor])}
        for key, value in (usual | entries).items():
            if value is not None:
                found.external_data.add(key=key, value=value)

    return move


def files() -> dict[str, bytes]:
    """The small bundle's files, both graphs' weights in one file."""
    return {
        **support.files(
            recurrent=support.recurrent_graph(spoil=outside("embedding")),
            head=support.head_graph(spoil=outside("output")),
        ),
        DATA: CONTENT,
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a good bundle whose graphs share a file of weights."""
    return bundle.save(support.manifest(), files(), tmp_path / "repository")


def weights(graph: bytes, tensor: str) -> np.ndarray:
    """A weight of a graph that has it inside."""
    (found,) = (
        one for one in onnx.load_model_from_string(graph).graph.initializer if one.name == tensor
    )
    assert found.data_location == TensorProto.DEFAULT
    assert not found.external_data
    return numpy_helper.to_array(found)


def test_the_graphs_come_whole(saved: Path) -> None:
    """Whoever asks a bundle for its graphs gets the weights of the file inside."""
    recurrent, head = bundle.load(saved).graphs()

    numbers = np.frombuffer(CONTENT, np.float32)
    assert np.array_equal(numbers[:12].reshape(6, 2), weights(recurrent, "embedding"))
    assert np.array_equal(numbers.reshape(3, 6), weights(head, "output"))


def test_the_folder_can_be_opened_without_us(saved: Path) -> None:
    """For the onnx library the graphs on disk, opened by their paths, are the same."""
    for name, whole in zip(("recurrent", "head"), bundle.load(saved).graphs(), strict=True):
        model = onnx.load(saved / f"{name}.onnx")
        tensors = {one.name: one for one in model.graph.initializer}
        tensor = {"recurrent": "embedding", "head": "output"}[name]
        assert np.array_equal(numpy_helper.to_array(tensors[tensor]), weights(whole, tensor))


def test_what_is_shared_counts_once(saved: Path) -> None:
    """The size of a precision is that of its files on disk."""
    loaded = bundle.load(saved)

    named = ("recurrent.onnx", "head.onnx", DATA)
    assert sum((saved / name).stat().st_size for name in named) == loaded.size_bytes()
    assert files() == dict(loaded.files)


def test_every_graph_of_every_precision_is_checked(tmp_path: Path) -> None:
    """A decomposed graph may not keep weights where the others may not."""
    graphs = Graphs(recurrent="recurrent.onnx", head="head.onnx", decomposed="d.onnx")
    spoilt = support.recurrent_graph(spoil=outside("embedding", location="../x"))

    with pytest.raises(UnsafePathError):
        bundle.save(
            support.manifest(precisions={"float32": graphs}), files() | {"d.onnx": spoilt}, tmp_path
        )

    assert [] == list(tmp_path.iterdir())


def refer(**entries: str | None) -> Spoil:
    """Have the recurrent graph refer to its weights by other entries."""
    return change(outside("embedding", **entries))


def change(*changes: Change) -> Spoil:
    """Have the recurrent graph's weights outside, and spoil it further."""

    def spoil(model: onnx.ModelProto) -> None:
        outside("embedding")(model)
        for one in changes:
            one(model)

    graph = support.recurrent_graph(spoil=spoil)
    return reseal(recurrent=graph, head=support.head_graph(spoil=outside("output")))


def twice(model: onnx.ModelProto) -> None:
    """Name the file a second time."""
    model.graph.initializer[0].external_data.add(key="location", value="head.onnx")


def keep_inside_too(model: onnx.ModelProto) -> None:
    """Leave other numbers inside."""
    model.graph.initializer[0].float_data.extend([0.0] * 12)


def be_text(model: onnx.ModelProto) -> None:
    """Claim that the weights are strings."""
    model.graph.initializer[0].data_type = TensorProto.STRING


def be_less_than_nothing(model: onnx.ModelProto) -> None:
    """Claim a shape whose size is right, of negative dimensions."""
    model.graph.initializer[0].dims[:] = [-6, -2]


def overlap(model: onnx.ModelProto) -> None:
    """Keep another weight where the last one of the embedding is."""
    model.graph.initializer.append(
        TensorProto(name="more", data_type=TensorProto.FLOAT, dims=[6, 2])
    )
    outside("more", offset="24")(model)


def keep_sparse(model: onnx.ModelProto) -> None:
    """Keep the numbers of a sparse weight outside."""
    tensor = TensorProto(name="embedding", data_type=TensorProto.FLOAT, dims=[12])
    model.graph.initializer[0].name = "sparse"
    tensor.CopyFrom(model.graph.initializer[0])
    del model.graph.initializer[0]
    indices = numpy_helper.from_array(np.arange(12, dtype=np.int64), "indices")
    sparse = helper.make_sparse_tensor(tensor, indices, [6, 2])
    model.graph.sparse_initializer.append(sparse)


def link_within(folder: Path) -> None:
    """Put the weights elsewhere in the folder and leave a link."""
    (folder / DATA).rename(folder / "moved.bin")
    (folder / DATA).symlink_to("moved.bin")


def shorten(folder: Path) -> None:
    """Cut the file short, with a hash that fits."""
    content = CONTENT[:-4]
    (folder / DATA).write_bytes(content)
    seal = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit(lambda m: m["files"].update({DATA: seal}))(folder)


UNSAFE = ("/etc/passwd", "../weights.bin", "a/weights.bin", "./weights.bin", "..", "", "a\\b")
NO_NUMBERS = ("-4", " 4", "4.0", "0x4", "4_0", "", "\u0664", "9" * 30)
OUTSIDE = "recurrent.onnx keeps embedding outside"

CASES: dict[str, Case] = {
    **{
        f"kept in {path!r}": (
            refer(location=path),
            UnsafePathError,
            f"{path!r} is not the plain name of a file",
        )
        for path in (*UNSAFE, ".hidden", "bundle.json")
    },
    "kept in a file that is not listed": (
        refer(location="other.bin"),
        MissingFileError,
        "bundle.json lists no other.bin, where recurrent.onnx keeps weights",
    ),
    "no longer listed": (drop("files", DATA), MissingFileError, f"lists no {DATA}, where"),
    "the file is missing": (remove(DATA), MissingFileError, f"{DATA} is missing"),
    "the file is altered": (flip(DATA), AlteredFileError, f"{DATA} is not the file"),
    "the file is a link": (link_within, UnsafePathError, f"{DATA}, where recurrent.onnx keeps"),
    "the file is too short for one of them": (
        shorten,
        GraphError,
        f"head.onnx keeps output in bytes 0 to 72 of {DATA}, which has 68",
    ),
    **{
        f"an offset of {text!r}": (
            refer(offset=text),
            GraphError,
            f"{OUTSIDE} with the offset {text!r}",
        )
        for text in NO_NUMBERS
    },
    **{
        f"a length of {text!r}": (
            refer(length=text),
            GraphError,
            f"{OUTSIDE} with the length {text!r}",
        )
        for text in NO_NUMBERS
    },
    "an offset behind the end": (
        refer(offset="28"),
        GraphError,
        f"recurrent.onnx keeps embedding in bytes 28 to 76 of {DATA}, which has 72",
    ),
    "a length that is not the shape's": (
        refer(length="44"),
        GraphError,
        "recurrent.onnx keeps embedding in 44 bytes, not 48",
    ),
    **{
        f"no {key}": (refer(**{key: None}), GraphError, f"{OUTSIDE} by [")
        for key in ("location", "offset", "length")
    },
    "by what is no text": (
        reseal(
            recurrent=support.recurrent_graph(spoil=outside("embedding")).replace(
                b"weights.bin", b"weights.\xff\xfe\xfd"
            )
        ),
        GraphError,
        "recurrent.onnx keeps a weight outside by what is no text",
    ),
    "a key that nobody knows": (refer(checksum="0"), GraphError, f"{OUTSIDE} by ['checksum', "),
    "two locations": (change(twice), GraphError, f"{OUTSIDE} by ['length', 'location', 'location'"),
    "inside as well": (change(keep_inside_too), GraphError, "recurrent.onnx is no valid ONNX"),
    "of text": (change(be_text), GraphError, f"{OUTSIDE}, whose type or shape forbids it"),
    "of a negative shape": (change(be_less_than_nothing), GraphError, f"{OUTSIDE}, whose type"),
    "two in one place": (
        change(overlap),
        GraphError,
        "recurrent.onnx keeps embedding and more in the same place",
    ),
    "sparse": (change(keep_sparse), GraphError, "recurrent.onnx keeps sparse in another file"),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_that_lie_where_they_may_not_are_refused(saved: Path, case: str) -> None:
    """Each fault gets the error for it, which names the file."""
    assert_refused(saved, CASES[case])


def test_a_graph_that_grows_too_large_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its weights inside, a graph must still be one that can be written."""
    monkeypatch.setattr("models.external.MAX_BYTES", 500)

    with pytest.raises(GraphError, match="larger than 500 bytes with its weights inside"):
        bundle.load(saved)
