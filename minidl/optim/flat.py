"""The parameters of a group as flat arrays, cut into blocks that stay in cache, and the optimizer's state for them."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np

from ..autograd import storage
from ..autograd.parameter import Parameter
from ..kernels.memory import Counts

BLOCK = 16 * 1024  # elements: five float32 arrays of one block fit a 512 KiB cache


class Part:
    """The parameters of a group that one update changes, as flat arrays with their state.

    All of the group, unless some are frozen, have no gradient, or began later than others. ``step`` is the
    number of this update, counted from 1 for each parameter.
    """

    step: int

    def __init__(self, flat: Flat, indices: Sequence[int]):
        self.flat, self.indices = flat, indices
        self.statuses = [flat.statuses[i] for i in indices]
        self._blocks: dict[tuple[str, ...], tuple[list, list[tuple]]] = {}

    def number(self, value: float) -> np.ndarray:
        """The value rounded to the parameters' dtype, as a 0-d array, which NumPy multiplies fastest."""
        return np.asarray(value, self.flat.dtype)

    def spans(self, *names: str) -> Iterator[tuple[np.ndarray, np.ndarray, list[np.ndarray]]]:
        """(values, gradients, the state arrays of these names) of each span of parameters that is contiguous."""
        state = self.flat.arrays(names)
        found: list[list] = []  # [store, begin and end in it, begin in the state]
        last: list = []
        for i in self.indices:
            parameter, place = self.flat.parameters[i], self.flat.begins[i]
            store, begin, end = parameter.store, parameter.start, parameter.start + parameter.numel()
            if last and last[0] is store and last[2] == begin and last[3] + begin - last[1] == place:
                last[2] = end
            else:
                last = [store, begin, end, place]
                found.append(last)
        for store, begin, end, place in found:
            yield (store.values[begin:end], store.gradients[begin:end],
                   [array[place:place + end - begin] for array in state])

    def blocks(self, *names: str) -> list[tuple]:
        """(values, gradients, the state arrays of these names, scratch, scratch), block by block.

        A state array that does not exist yet begins as zeros.
        """
        arrays = self.flat.arrays(names)
        cut_from, blocks = self._blocks.get(names, (None, []))
        if cut_from is None or any(a is not b for a, b in zip(arrays, cut_from, strict=True)):  # one was replaced
            blocks = list(self._cut(names))
            self._blocks[names] = arrays, blocks
        return blocks

    def _cut(self, names: tuple[str, ...]) -> Iterator[tuple]:
        for values, gradients, state in self.spans(*names):
            for a in range(0, values.size, BLOCK):
                b = min(a + BLOCK, values.size)
                yield (values[a:b], gradients[a:b], [array[a:b] for array in state],
                       *(scratch[:b - a] for scratch in self.flat.scratch))


class Flat:
    """The parameters of one group seen as flat arrays, and the optimizer's state for them.

    The arrays of the state follow the order of the group's parameters, wherever these live in memory.
    ``counts`` has the number of updates that the state has seen of each parameter.
    """

    def __init__(self, parameters: list[Parameter]):
        self.parameters, self.statuses = list(parameters), [parameter.status for parameter in parameters]
        self.shapes, self.dtype = [parameter.shape for parameter in parameters], parameters[0].dtype
        *self.begins, self.size = accumulate((parameter.numel() for parameter in parameters), initial=0)
        self.counts = Counts(len(self.parameters))
        self.state: dict[str, np.ndarray] = {}
        self.scratch = [storage.aligned(min(self.size, BLOCK), self.dtype) for _ in range(2)]
        self.rebind()

    def rebind(self) -> None:
        """Find the memory of the parameters and of the state (again)."""
        self.spans = storage.spans(self.parameters)
        self._parts: dict[tuple[int, ...], Part] = {}
        self._whole = self._part(tuple(range(len(self.parameters))))

    def arrays(self, names: Iterable[str]) -> list[np.ndarray]:
        """The state arrays of these names; one that does not exist yet begins as zeros.

        Raises ValueError where one was replaced by something else.
        """
        found = []
        for name in names:
            if name not in self.state:
                self.state[name] = storage.aligned(self.size, self.dtype)
            array = self.state[name]
            if not (isinstance(array, np.ndarray) and array.flags.carray and array.shape == (self.size,)
                    and array.dtype == self.dtype):
                got = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
                raise ValueError(f"{name}: expected a state of {self.dtype} of shape {(self.size,)}, contiguous and "
                                 f"writeable, got {got}")
            found.append(array)
        return found

    def parts(self, chosen: Iterable[int] | None = None) -> list[Part]:
        """The parts of the next update, by its step: those chosen, or what is trained and has a gradient."""
        if chosen is None:
            seen = self.counts.common(self.statuses)
            if seen >= 0:
                self._whole.step = seen + 1
                return [self._whole]
            chosen = [i for i, parameter in enumerate(self.parameters)
                      if parameter.requires_grad and parameter.has_grad()]
        by_step: dict[int, list[int]] = {}
        for i in chosen:
            by_step.setdefault(self.counts[i] + 1, []).append(i)
        parts = []
        for step, indices in by_step.items():
            part = self._part(tuple(indices))
            part.step = step
            parts.append(part)
        return parts

    def _part(self, indices: tuple[int, ...]) -> Part:
        if indices not in self._parts:
            if len(self._parts) > 16:  # patterns that change at every step are not worth keeping
                self._parts.clear()
            self._parts[indices] = Part(self, indices)
        return self._parts[indices]

    def count(self, part: Part) -> None:
        """Count an update of this part."""
        if part is self._whole:
            self.counts.fill(part.step)
        else:
            for i in part.indices:
                self.counts[i] = part.step

    def go_on(self, counts: Sequence[int], arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from these counts and state arrays, which are copied."""
        for i, number in enumerate(counts):
            self.counts[i] = number
        self.state = {}
        for name, array in arrays.items():
            mine, = self.arrays([name])
            mine[:] = array
        self.counts.renew()

    def undo(self) -> Callable[[], None]:
        """A function that puts back the present values and state, in the same arrays."""
        values = [span.copy() for span, _ in self.spans]
        state, counts = dict(self.state), list(self.counts)
        copies = {name: array.copy() for name, array in state.items() if isinstance(array, np.ndarray)}

        def put_back():
            for (span, _), before in zip(self.spans, values, strict=True):
                span[:] = before
            for name, before in copies.items():
                if state[name].flags.writeable:  # a read-only one has not changed
                    state[name][...] = before
            for i, number in enumerate(counts):
                self.counts[i] = number
            self.state = dict(state)
            self.counts.renew()

        return put_back

    def take_state(self, flats: Iterable[Flat]) -> None:
        """Take over the state that these have for the same parameters, cast where these were."""
        known = {id(parameter): (flat, i) for flat in flats for i, parameter in enumerate(flat.parameters)}
        for i, parameter in enumerate(self.parameters):
            if id(parameter) not in known:
                continue
            flat, j = known[id(parameter)]
            self.counts[i] = flat.counts[j]
            for name, array in flat.state.items():
                mine, = self.arrays([name])
                begin, theirs, n = self.begins[i], flat.begins[j], parameter.numel()
                mine[begin:begin + n] = array[theirs:theirs + n]
