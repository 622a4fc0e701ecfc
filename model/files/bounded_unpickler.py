"""Pickles are run operation by operation, within limits of memory and time, and call nothing.

A pickle is a program: of seven bytes it can ask for gigabytes, of a hundred for hours. Each of its
operations is counted here at what it may cost, every length it declares is compared with the bytes
that are left, and it can construct nothing but stand-ins.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from .bounded_file import BoundedFile

MAX_OBJECT_BYTES = 200_000_000
"""What all operations together may cost, not counting bytes that the file itself holds."""

MAX_SECONDS = 10.0
"""Of this thread's own time, for a whole file."""

_SPARE_BYTES = 1 << 26
_SPARE_FACTOR = 4
"""Arrays and texts made of a file may take so many times its size and 64 MiB: shared parts count
each time, since whoever makes an array of them gets them as often."""

_MAX_KEY = 2**60
_MAX_TUPLE_KEYS = 10_000
_MAX_KEY_PARTS = 16
_OPERATIONS_PER_LOOK = 1024


class PickleError(ValueError):
    """A pickle that cannot be used; the message says why."""


class UnsafePickleError(PickleError):
    """The pickle names something other than arrays; nothing was executed."""


class Budget:
    """What a file may still cost.

    Args:
        num_bytes: size of the file.
    """

    def __init__(self, num_bytes: int) -> None:
        self.bytes_left = _SPARE_FACTOR * num_bytes + _SPARE_BYTES
        self._end = time.thread_time() + MAX_SECONDS

    def spend(self, num_bytes: int) -> None:
        """Counts bytes that are about to be taken; PickleError where they are too many."""
        self.bytes_left -= num_bytes
        if self.bytes_left < 0:
            raise PickleError("it would take many times its own size in memory")

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Time within is given back: for what is bounded otherwise."""
        start = time.thread_time()
        try:
            yield
        finally:
            self._end += time.thread_time() - start

    def check_time(self) -> None:
        """PickleError where the time is up."""
        if time.thread_time() > self._end:
            raise PickleError(f"it takes more than {MAX_SECONDS:g} s to read")


class Standin:
    """What a name in the pickle stands for: remembers its state, does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def plain(self, convert: Callable[[Any], Any], budget: Budget) -> Any:
        """The object that the state describes.

        Args:
            convert: does the same for what the state holds.
            budget: from which it is paid.
        """
        raise UnsafePickleError(f"{type(self).__name__.lstrip('_')} cannot be an array")


class Mapping(dict[Any, Any]):
    """Stands for OrderedDict, defaultdict and Counter; a factory is left out."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        pairs = args[-1] if args else ()
        for key, value in pairs.items() if isinstance(pairs, dict) else _pairs(pairs):
            check_key(key)
            self[key] = value

    def __setstate__(self, state: Any) -> None:
        """Attributes of a dictionary are nobody's data."""


class Elements(set[Any]):
    """Stands for set and frozenset."""

    def __init__(self, elements: Any = ()) -> None:
        for element in elements:
            check_key(element)
        super().__init__(elements)

    def __setstate__(self, state: Any) -> None:
        """As for `Mapping`."""


_CONSTRUCTED: Any = (Standin, Mapping, Elements)


_PythonUnpickler: Any = pickle._Unpickler  # whose parts have no types


def is_standin(kind: Any) -> bool:
    """Whether it is one of the classes that a pickle may construct."""
    return isinstance(kind, type) and issubclass(kind, _CONSTRUCTED)


class BoundedUnpickler(_PythonUnpickler):
    """Python's own unpickler within a budget; methods `_load_...` take the place of its operations.

    Args:
        file: at the beginning of the pickle.
        num_bytes: how many the pickle may take of it.
        budget: of the whole file, if that is more.
    """

    def __init__(self, file: IO[bytes], num_bytes: int, budget: Budget | None = None) -> None:
        self.budget = budget or Budget(num_bytes)
        self._num_tuple_keys = 0
        super().__init__(BoundedFile(file, num_bytes), encoding="latin1")
        self.dispatch = _Operations(_OPERATIONS, self.budget)

    def load(self) -> Any:
        """The object, made of stand-ins and plain containers.

        Raises:
            PickleError, ValueError: it is damaged, no pickle, or not within the budget.
        """
        try:
            return super().load()
        except (LookupError, TypeError, AttributeError, AssertionError) as error:
            raise PickleError("its operations do not fit each other") from error

    def _put(self, index: int) -> None:
        """Remembers the top of the stack; honest pickles number from 0 or 1 on."""
        if not 0 <= index <= self.dispatch.num:
            raise PickleError(f"it numbers an object {index}, which is more than it has")
        self.memo[index] = self.stack[-1]

    def _load_put(self) -> None:
        self._put(int(self.readline()[:-1]))

    def _load_binput(self) -> None:
        self._put(self.read(1)[0])

    def _load_long_binput(self) -> None:
        self._put(int.from_bytes(self.read(4), "little"))

    def _set_items(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, dict):
            raise PickleError(f"it sets items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._check_key(key)
            target[key] = value

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items(self.stack[-1], [key, value])

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        self._set_items(self.stack[-1], items)

    def _load_dict(self) -> None:
        items, made = self.pop_mark(), dict[Any, Any]()
        self._set_items(made, items)
        self.append(made)

    def _add_items(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, set):
            raise PickleError(f"it adds elements to a {type(target).__name__}")
        for item in items:
            self._check_key(item)
            target.add(item)

    def _load_additems(self) -> None:
        items = self.pop_mark()
        self._add_items(self.stack[-1], items)

    def _load_frozenset(self) -> None:
        items, made = self.pop_mark(), Elements()
        self._add_items(made, items)
        self.append(made)

    def _check_key(self, key: Any) -> None:
        check_key(key)
        self._num_tuple_keys += type(key) is tuple
        if self._num_tuple_keys > _MAX_TUPLE_KEYS:
            raise PickleError(f"it has more than {_MAX_TUPLE_KEYS} tuples as keys")

    def _construct(self, kind: Any, args: Any, initialise: bool = True) -> Any:
        """What a stand-in makes of arguments; nothing else is ever called."""
        if not is_standin(kind):
            raise UnsafePickleError(f"it calls a {type(kind).__name__}")
        made: Any = kind(*args) if initialise else kind.__new__(kind, *args)
        if isinstance(made, bytes):
            self.budget.spend(len(made))
        return made

    def _load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._construct(self.stack[-1], args)

    def _load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._construct(self.stack[-1], args, initialise=False)

    def _load_newobj_ex(self) -> None:
        if self.stack.pop():
            raise UnsafePickleError("it constructs with keywords")
        self._load_newobj()

    def _instantiate(self, kind: Any, args: Any) -> None:
        self.append(self._construct(kind, args, initialise=bool(args)))

    def _load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _CONSTRUCTED):
            raise PickleError(f"it gives a state to a {type(target).__name__}")
        target.__setstate__(state)

    def _load_bytearray8(self) -> None:
        self.append(self.read(int.from_bytes(self.read(8), "little")))


_OPERATIONS = {
    code: getattr(BoundedUnpickler, f"_{operation.__name__}", operation)
    for code, operation in _PythonUnpickler.dispatch.items()
}
_ORDINARY_COST, _CONSTRUCTION_COST, _NAME_COST = 64, 400, 10_000
_COSTS = [_ORDINARY_COST] * 256
"""Bytes that an operation may take at most, with its share of what holds its result."""
for _code in (pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.MARK):
    _COSTS[_code[0]] = 2 * _ORDINARY_COST
for _code in (pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.OBJ, pickle.EMPTY_SET,
              pickle.FROZENSET, pickle.BINPERSID, pickle.PERSID, pickle.DICT):  # fmt: skip
    _COSTS[_code[0]] = _CONSTRUCTION_COST
for _code in (pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.INST):
    _COSTS[_code[0]] = _NAME_COST


class _Operations(dict[int, Callable[[Any], None]]):
    """The table of operations; every look-up is one operation, and is counted."""

    def __init__(self, operations: dict[int, Callable[[Any], None]], budget: Budget) -> None:
        super().__init__(operations)
        self.num = 0
        self._budget, self._bytes_left = budget, MAX_OBJECT_BYTES

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.num += 1
        self._bytes_left -= _COSTS[code]
        if self._bytes_left < 0:
            raise PickleError("it holds too many objects")
        if not self.num % _OPERATIONS_PER_LOOK:
            self._budget.check_time()
        if code not in self:
            raise PickleError(f"{code} is no operation of a pickle")
        return super().__getitem__(code)


def check_key(key: Any) -> None:
    """PickleError for a key whose hash may be made slow, or equal to that of many others."""
    kind = type(key)
    if kind is tuple and len(key) <= _MAX_KEY_PARTS and not any(type(k) is tuple for k in key):
        for part in key:
            check_key(part)
    elif kind in (int, float):
        if math.isfinite(key) and abs(key) >= _MAX_KEY:
            raise PickleError("a number among its keys is out of range")
    elif not (key is None or kind in (str, bytes, bool) or isinstance(key, Standin)):
        raise PickleError(f"it has a {kind.__name__} as key")


def _pairs(pairs: Any) -> list[tuple[Any, Any]]:
    if not isinstance(pairs, list | tuple):
        return []  # a factory
    return [(key, value) for key, value in pairs]
