"""Pickles of arrays are read right, whatever wrote them; nothing else is, and nothing runs."""

from __future__ import annotations

import collections
import io
import os
import pickle
import re
import struct
import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse

from hierprob3d.model.files.safe_pickle import (
    PickleError,
    UnreadableChumpy,
    UnsafePickleError,
    load_pickle,
)

ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big_endian": np.arange(3, dtype=">i4"),
    "uint32": np.array([4294967295, 0], dtype=np.uint32),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "scalar_array": np.array(2.5),
    "text": np.array(["left", "r"]),
    "bytes": np.array([b"lbs"]),
    "strided": np.arange(10)[::3],
}


class Python2Pickler(pickle._Pickler):
    """Writes bytes as python 2's str and numpy's modules under their old names."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(obj)) + obj)  # type: ignore[attr-defined]

    dispatch[bytes] = save_bytes


def dumps_like_python2(value: Any, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def loads(content: bytes) -> Any:
    return load_pickle(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_equal(name: str, protocol: int) -> None:
    array = ARRAYS[name]
    loaded = loads(pickle.dumps({"value": array}, protocol))["value"]
    assert type(loaded) is np.ndarray
    assert loaded.dtype == array.dtype and loaded.shape == array.shape
    if array.size and array.flags.forc:
        assert loaded.flags.f_contiguous == array.flags.f_contiguous
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_containers_scalars_and_object_arrays_come_back_equal(protocol: int) -> None:
    objects = np.array([np.zeros(2), "name", None], dtype=object)
    value = {"list": [np.float32(1.5), np.int64(3)], "tuple": (1, "é"), "objects": objects}
    loaded = loads(pickle.dumps(value, protocol))
    assert loaded["list"] == [1.5, 3] and loaded["tuple"] == (1, "é")
    np.testing.assert_array_equal(loaded["objects"][0], np.zeros(2))
    assert loaded["objects"][1:].tolist() == ["name", None]


@pytest.mark.parametrize(
    "layout", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "lil_matrix", "lil_array"]
)
def test_sparse_matrices_come_back_equal(layout: str) -> None:
    dense = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]])
    loaded = loads(pickle.dumps(getattr(scipy.sparse, layout)(dense), 2))
    assert scipy.sparse.issparse(loaded)
    np.testing.assert_array_equal(loaded.toarray(), dense)


def test_old_scipy_module_names_are_known() -> None:
    matrix = scipy.sparse.csc_matrix(np.eye(2))
    content = pickle.dumps(matrix, 2).replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")
    assert b"scipy.sparse.csc\n" in content
    np.testing.assert_array_equal(loads(content).toarray(), np.eye(2))


def test_python2_pickle_with_bytes_above_127() -> None:
    array = np.array([-1.7e-300, 3.3], dtype=np.float64)
    content = dumps_like_python2({"poses": [array], "sequence": b"caf\xe9"})
    loaded = loads(content)
    np.testing.assert_array_equal(loaded["poses"][0], array)
    assert loaded["sequence"] == "café"


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes that pickle under chumpy's names; chumpy itself is never needed."""
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    kinds = {}
    for module_name, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"),
                              ("chumpy.ch", "MatVecMult")):  # fmt: skip
        module = sys.modules.get(module_name) or types.ModuleType(module_name)
        monkeypatch.setitem(sys.modules, module_name, module)
        kinds[name] = type(name, (), {"__module__": module_name})
        setattr(module, name, kinds[name])
    return types.SimpleNamespace(**kinds)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_chumpy_arrays_become_numpy_arrays(chumpy: Any, protocol: int) -> None:
    numbers = np.arange(24.0).reshape(4, 6)
    plain = chumpy.Ch()
    plain.__dict__ = {"x": numbers, "_dirty_vars": {"x"}, "dterms": ("x",)}
    selected = chumpy.Select()
    selected.__dict__ = {"a": plain, "idxs": np.array([0, 7, 23, 1]), "preferred_shape": (2, 2)}
    value = {"v": plain, "part": selected}
    content = dumps_like_python2(value) if protocol == 2 else pickle.dumps(value, protocol)
    loaded = loads(content)
    assert type(loaded["v"]) is np.ndarray
    np.testing.assert_array_equal(loaded["v"], numbers)
    np.testing.assert_array_equal(loaded["part"], [[0, 7], [23, 1]])


def test_other_chumpy_expressions_do_not_hide_the_rest(chumpy: Any) -> None:
    loaded = loads(pickle.dumps({"J": chumpy.MatVecMult(), "v": np.ones(2)}, 2))
    assert loaded["J"] == UnreadableChumpy("MatVecMult")
    np.testing.assert_array_equal(loaded["v"], [1, 1])


class Attack:
    """Pickles as a call, which a plain unpickler would make."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_refused_and_not_made(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "executed"
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    attack = Attack(os.system, f"touch {witness}")
    path.write_bytes(pickle.dumps({"v_template": attack}, protocol))
    with pytest.raises(UnsafePickleError, match=r"SMPL_NEUTRAL\.pkl was refused.*system"):
        load_pickle(path)
    assert not witness.exists()
    pickle.loads(path.read_bytes())  # the attack is real: a plain unpickler makes the call
    assert witness.exists()


@pytest.mark.parametrize(
    "function", [eval, exec, getattr, __import__, open, np.load, np.fromfile, type, compile]
)
def test_functions_of_admitted_modules_and_builtins_are_refused(function: Any) -> None:
    with pytest.raises(UnsafePickleError):
        loads(pickle.dumps(Attack(function, "1"), 2))


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray.__class__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
        b"cscipy.sparse\nlinalg\n.",
        b"ccopy_reg\n_reconstructor\n(cposix\nsystem\ntR.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nNNtR.",
        b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.",
    ],
)
def test_ways_around_the_names_are_refused(content: bytes) -> None:
    with pytest.raises(UnsafePickleError):
        loads(content)


def test_structured_and_pointer_arrays_are_refused() -> None:
    with pytest.raises(UnsafePickleError, match="type"):
        loads(pickle.dumps(np.zeros(1, dtype=[("a", "f4")]), 2))
    # An object array whose content claims to be raw bytes would be read as memory addresses.
    honest = pickle.dumps(np.array([None]), 2)
    forged = re.sub(rb"\]q.Na", b"U\x08AAAAAAAA", honest, flags=re.DOTALL)
    assert forged != honest
    with pytest.raises(ValueError):
        loads(forged)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x02}q", b"I1\n", b"(l."])
def test_damaged_pickles_are_value_errors_or_data(content: bytes) -> None:
    if content == b"(l.":
        assert loads(content) == []
        return
    with pytest.raises(ValueError, match="not a readable pickle"):
        loads(content)


def test_truncated_arrays_are_value_errors() -> None:
    content = pickle.dumps({"a": np.arange(100.0)}, 2)
    for length in range(1, len(content) - 1, 37):
        with pytest.raises(ValueError):
            loads(content[:length])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pkl"):
        load_pickle(tmp_path / "absent.pkl")


def test_self_containing_lists_are_value_errors() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError):
        loads(pickle.dumps(endless))


def test_3dpw_sequences_load(golden: Path) -> None:
    files = sorted((golden / "h_pw3d").rglob("*.pkl"))
    assert files
    sequence = load_pickle(files[0])
    assert {"poses", "betas", "genders", "cam_intrinsics"} <= set(sequence)
    assert sequence["poses"][0].shape[1] == 72


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_dictionaries_of_every_kind_and_sets_are_plain(protocol: int) -> None:
    counted = collections.defaultdict(list, {"a": [1], np.int64(3): (2, np.float32(0.5))})
    ordered = collections.OrderedDict([("z", 1), ("a", {"x", "y"})])
    loaded = loads(pickle.dumps({"d": counted, "o": ordered, "f": frozenset({1, 2})}, protocol))
    assert loaded == {"d": {"a": [1], 3: (2, 0.5)}, "o": {"z": 1, "a": {"x", "y"}}, "f": {1, 2}}
    assert type(loaded["d"]) is dict and list(loaded["o"]) == ["z", "a"]


def test_object_arrays_of_arrays_of_one_shape_come_back() -> None:
    objects = np.empty(2, dtype=object)
    objects[0], objects[1] = np.zeros(3), np.ones(3)
    loaded = loads(pickle.dumps(objects, 2))
    assert loaded.shape == (2,) and loaded[1].tolist() == [1, 1, 1]


def test_shared_arrays_stay_shared() -> None:
    array = np.arange(3.0)
    first, second = loads(pickle.dumps([array, array], 2))
    assert first is second


def length(num: int, num_bytes: int = 8) -> bytes:
    return num.to_bytes(num_bytes, "little")


def shared_lists() -> bytes:
    nested: list[Any] = [0]
    for _ in range(7):
        nested = [nested] * 10
    return pickle.dumps({"poses": nested}, 2)


MERSENNE = 2**61 - 1  # python's hash of any multiple is 0
HOSTILE = {
    "memo of 4 GB": b"Nr\xff\xff\xff\x0f.",
    "shared lists": shared_lists(),
    "shared arrays": pickle.dumps([np.zeros(1 << 14)] * 10_000, 2),
    "shared texts": pickle.dumps(["a" * 100_000] * 10_000, 4),
    "tuples that hash for ever": b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00K\x01s.",
    "sets of such": b"\x80\x04()" + b"2\x86" * 60 + b"\x91.",
    "keys of one hash": b"\x80\x04}("
    + b"".join(pickle.dumps(k * MERSENNE, 2)[2:-1] + b"N" for k in range(1, 5000))
    + b"u.",
    "many sets": b"\x80\x04(" + b"\x8f" * 600_000 + b"l.",
    "many names": b"".join(b"cchumpy.ch\nA%d\n" % i for i in range(30_000)) + b".",
    "encoded again and again": b"\x80\x02c_codecs\nencode\nq\x00X" + length(1 << 20, 4)
    + b"a" * (1 << 20) + b"q\x01X\x06\x00\x00\x00latin1q\x02" + b"h\x00h\x01h\x02\x86R" * 999
    + b".",
    "deeply nested": b"\x80\x04)" + b"\x85" * 100_000 + b".",
    "long text of a number": b"L" + b"9" * 2_000_000 + b"L\n.",
    "bytearray of 1 TB": b"\x80\x05\x96" + length(1 << 40) + b".",
    "frame of 1 TB": b"\x80\x05\x95" + length(1 << 40) + b".",
    "bytes of 8 GB": b"\x80\x04\x8e" + length(1 << 33) + b".",
    "integer of 1 GB": b"\x80\x02\x8b" + length(1 << 30, 4) + b".",
    "array of too many numbers": pickle.dumps(np.zeros(7, "i1"), 2).replace(b"K\x07", b"M\xff\xff"),
    "letters that are none": pickle.dumps(np.array(["abc"]), 2).replace(b"a\0\0\0", b"a\0\0\x7f"),
    "state for a class": b"ccollections\nOrderedDict\n}b.",
    "items of a list": b"](K\x00K\x01u.",
    "extension": b"\x80\x02\x82\x01.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "persistent name": b"Pname\n.",
}  # fmt: skip


def test_hostile_pickles_are_refused_within_a_second_and_300_megabytes(
    tmp_path: Path, costs_of: Any
) -> None:
    paths = []
    for number, content in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.pkl")
        paths[-1].write_bytes(content)
    read = "from hierprob3d.model.files.safe_pickle import load_pickle as read"
    costs = costs_of(read, paths)
    assert len(costs) == len(HOSTILE)
    for name, path, cost in zip(HOSTILE, paths, costs, strict=True):
        assert re.match(rf"(Unsafe)?PickleError: {path.name} (is not|was refused)", cost.error), (
            name
        )
        assert "\n" not in cost.error and len(cost.error) < 400
        assert cost.seconds < 1 and cost.megabytes < 200, (name, cost)


def test_a_mutated_pickle_is_data_or_one_clear_error(chumpy: Any) -> None:
    plain = chumpy.Ch()
    plain.__dict__ = {"x": np.arange(4.0), "dterms": ("x",)}
    value = {
        "v": plain, "J": scipy.sparse.csc_matrix(np.eye(3)), "names": np.array(["left", "right"]),
        "list": [np.float32(1.5), {"s"}], "objects": np.array([None, "a"], dtype=object),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    wholes = [pickle.dumps(value, protocol) for protocol in (0, 2, 4)] + [dumps_like_python2(value)]
    for number in range(400):
        content = bytearray(wholes[number % len(wholes)])
        for place in rng.integers(0, len(content), rng.integers(1, 5)):
            content[place] = rng.integers(0, 256)
        content = content[: rng.integers(1, len(content))] if number % 5 == 0 else content
        try:
            str(loads(bytes(content)))
        except PickleError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
