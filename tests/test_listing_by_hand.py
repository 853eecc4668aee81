"""The text of programs, line by line, with times that are given; the multiply-adds of each product."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.compiled.layers_listing import Listed
from minidl.compiled.listing import Names, argument_names, multiply_adds, rows, shown, told
from minidl.compiled.model_step import ModelStep
from minidl.compiled.nesting import Place
from minidl.kernels.ledger import Line

F4 = np.float32


def array(*shape):
    return np.zeros(shape, F4)


class Plain:
    """Names by the sizes of arrays."""

    def __init__(self):
        self.functions = {}

    def of(self, value):
        return f"a{value.size}" if isinstance(value, np.ndarray) else str(value)


def product(name, a, output, what="operation"):
    return Line(what, SimpleNamespace(name=name), (a, array(3, 4)), {}, (output,))


def test_multiply_adds_are_those_of_the_definition():
    for name, a, output, wanted in [
            ("linear", array(5, 4), array(5, 3), 5 * 4 * 3), ("matmul", array(2, 5, 4), array(2, 5, 3), 2 * 5 * 4 * 3),
            ("linear_input_gradient", array(5, 3), array(5, 4), 5 * 3 * 4),
            ("linear_weight_gradient", array(5, 3), array(3, 4), 5 * 3 * 4),
            ("linear_weight_gradient", array(2, 5, 3), array(3, 4), 10 * 3 * 4), ("add", array(5, 3), array(5, 3), 0)]:
        assert multiply_adds(product(name, a, output)) == wanted
    assert multiply_adds(Line("zero", None, (), {}, (array(2),))) == 0


def test_what_moves_no_numbers_is_not_told():
    status = SimpleNamespace(name="status")
    lines = [Line(what, status) for what in ("reached", "cleared", "changed", "call")]
    lines += [Line("zero", None, (), {}, (array(2),)), Line("zero", None, (), {}, (array(3),))]
    listing = [(line, 0, n == 5, True) for n, line in enumerate(lines)]
    assert [line for line, *_ in told(listing)] == [lines[3], lines[5]]


def test_each_kind_of_line_has_its_text():
    x, y, g = array(2, 3), array(2, 4), array(5)
    operation, function = SimpleNamespace(name="softmax"), Line("function", max, (x,), {}, (y, None))
    call = Line("call", max)
    names = Plain()
    names.functions = {id(function): "Mine()", id(call): "SGD.step()"}
    lines = [Line("operation", operation, (x, 2.0), {"dim": -1, "mask": g}, (y,)), function,
             Line("draw", max, (x,), {}, (y,)), Line("accumulate", None, (x,), {}, (g,)),
             Line("accumulate", operation, (x, y), {}, (g,)), Line("overwrite", None, (x,), {}, (g,)),
             Line("zero", None, (), {}, (g,)), call, Line("finite", None, (g,))]
    found = rows([(line, n, n + 1, n % 2 == 0) for n, line in enumerate(lines)], names)
    assert found == [
        ("a8 = softmax(a6, 2.0, dim=-1, mask=a5)", 0, 1, True), ("a8 = Mine(a6)", 1, 2, False),
        ("a8 = random numbers(a6)", 2, 3, True), ("a5 += a6", 3, 4, False), ("a5 += softmax(a6, a8)", 4, 5, True),
        ("a5 <- a6", 5, 6, False), ("a5 <- 0", 6, 7, True), ("SGD.step()", 7, 8, False),
        ("stop unless a5 is finite", 8, 9, True)]


def test_what_is_added_to_zeros_that_are_not_written_is_told_as_a_value():
    g, h, x = array(5), array(7), array(2)
    lines = [(Line("zero", None, (), {}, (g,)), 0, 0, True), (Line("zero", None, (), {}, (h,)), 0, 1, True),
             (Line("accumulate", None, (x,), {}, (g,)), 1, 2, True),
             (Line("accumulate", None, (x,), {}, (h,)), 2, 3, True),
             (Line("accumulate", None, (x,), {}, (g,)), 3, 4, True)]
    assert [text for text, *_ in rows(lines, Plain())] == ["a7 <- 0", "a5 = a2", "a7 += a2", "a5 += a2"]


def test_columns_notes_and_times():
    forward, again = (product("linear", array(5, 4), array(5, 3)) for _ in range(2))
    gradient, later = (product("linear_weight_gradient", array(5, 3), array(3, 4), "accumulate") for _ in range(2))
    again = Line("operation", forward.operation, forward.operands, {}, (array(5, 3),))
    later = Line("accumulate", gradient.operation, gradient.operands, {}, gradient.outputs)
    add = Line("operation", SimpleNamespace(name="add"), (array(2), array(2)), {}, (array(2),))
    step = SimpleNamespace(__self__=optim.SGD(nn.Linear(1, 1).parameters()), name=None)
    call, names = Line("call", step), Plain()
    names.functions = {id(call): "SGD.step()"}
    listing = [(forward, 0, 1, True), (again, 1, 1, True), (add, 1, 2, False), (gradient, 2, 2, True),
               (later, 2, 3, True), (call, 3, 4, False)]
    wide = max(len(text) for text, *_ in rows(listing, names))
    lines = shown(listing, names).splitlines()
    assert [line[wide:].strip() for line in lines] == [
        "", "with the first", "in place", "with the last", "", "a program of its own"]
    assert all(line == line.rstrip() for line in lines)
    seconds = np.array([2e-6, 1e-6, 4e-6, 3e-6])
    lines = shown(listing, names, seconds, 1e8).splitlines()
    assert [" ".join(line[wide:].split()) for line in lines] == [
        "2.00 µs 0.12 GFLOP/s 120.0 % of the peak",  # 240 operations: both products
        "with the first", "1.00 µs in place", "with the last", "4.00 µs 0.06 GFLOP/s 60.0 % of the peak",
        "3.00 µs a program of its own", "10.00 µs (one core's peak: 0.1 GFLOP/s)"]
    assert lines[-1].startswith("total ") and lines[0][:wide + 2] == f"{rows(listing, names)[0][0]:<{wide}}  "
    seconds[0] = 0
    assert "GFLOP" not in shown(listing, names, seconds, 1e8).splitlines()[0]
    assert shown([], names) == ""
    long = Line("operation", SimpleNamespace(name="n" * 200), (array(2),), {}, (array(2),))
    assert shown([(add, 0, 1, False), (long, 1, 2, True)], names).splitlines()[0].index("in place") == 98


def test_a_product_counts_with_the_one_it_is_done_with():
    """Of two weights in turns, each with its own."""
    x, u, v = array(5, 4), array(3, 4), array(6, 4)
    operation = SimpleNamespace(name="linear")
    lines = [Line("operation", operation, (x, w), {}, (array(5, len(w)),)) for w in (u, v, u, v)]
    listing = [(line, min(n, 2), min(n + 1, 2), True) for n, line in enumerate(lines)]
    texts = shown(listing, Plain(), np.array([1e-6, 1e-6]), 1e9).splitlines()
    assert "0.24 GFLOP/s" in texts[0] and "0.48 GFLOP/s" in texts[1] and texts[2].endswith("with the first")
    one, other = array(3, 4), array(6, 4)
    operation = SimpleNamespace(name="linear_weight_gradient")
    lines = [Line("accumulate", operation, (array(5, len(w)), x), {}, (w,)) for w in (one, other, one, other)]
    listing = [(line, max(n - 2, 0), max(n - 1, 0), True) for n, line in enumerate(lines)]
    texts = shown(listing, Plain(), np.array([1e-6, 1e-6]), 1e9).splitlines()
    assert texts[0].endswith("with the last") and "0.24 GFLOP/s" in texts[2] and "0.48 GFLOP/s" in texts[3]


def test_names_of_arrays():
    layer = nn.Linear(3, 2, generator=0)
    store = layer.weight.store
    x, made, outside, constant = array(2, 3), array(4), array(5), array(1)
    kinds = [(x, ("argument", 0)), (made, ("line", 0)), (outside, ("outside", 1)), (constant, ("constant",)),
             (store.values, ("values",)), (store.gradients, ("gradients",))]
    recorder = SimpleNamespace(lines=[], signature=[], parameters={0: layer.weight, 1: layer.bias},
                               roots={id(a): SimpleNamespace(key=key) for a, key in kinds})
    names = Names(recorder, ["batch"])
    assert names.of(x) == "batch[2, 3]" and names.of(x[1]) == "batch[3]"
    assert Names(recorder, []).of(x) == "argument 0[2, 3]"
    assert names.of(made) == "%1[4]" and names.of(made[:2]) == "%1[2]" and names.of(outside) == "array[5]"
    assert names.of(constant) == "constant[1]" and names.of(2.5) == "2.5" and names.of(1e-10) == "1e-10"
    assert names.of("a") == "a" and names.of(7) == "7"
    for parameter in (layer.weight, layer.bias):
        shape = ", ".join(map(str, parameter.shape))
        assert names.of(parameter._data) == f"{parameter.name}[{shape}]"
        assert names.of(parameter._grad) == f"{parameter.name}.grad[{shape}]"
    del recorder.parameters[1]
    assert Names(recorder, []).of(layer.bias._data) == "values[2]"
    assert Names(recorder, []).of(layer.bias._grad) == "gradients[2]"


def test_numbered_arguments():
    assert argument_names(((Place(0), 5, Place(1)), {}), ["x"]) == ["x", "argument 3"]
    assert argument_names((([Place(0)],), {"t": Place(1)}), []) == ["argument 1[0]", "t"]


def test_the_names_of_a_batch():
    x, t = array(4, 3), array(4, 2)

    class Two(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2, generator=0)

        def forward(self, a, b):
            return self.layer(a + b)

    for model, batch, wanted in [(nn.Linear(3, 2, generator=0), (x, t), "x[4, 3], y[4, 2]"),
                                 (Two(), (x, x, t), "x1[4, 3], x2[4, 3], y[4, 2]")]:
        step = ModelStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
        assert str(step) == repr(step) == f"<step of {type(model).__name__}: not yet recorded>"
        step(*batch)
        lines = str(step).splitlines()
        assert lines[0] == f"<step of {type(model).__name__}: compiled>" == repr(step)
        assert lines[1] == "" and lines[2] == f"for {wanted}:"
        assert step._repr_html_().startswith("<") and "for x" in step._repr_html_()
        assert step.recent()[2].shape == (4, 2)


class Noted:
    """Receives what a listing passes on."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **named: self.calls.append((name, args, named))


def test_the_lines_of_a_sequential():
    layer = nn.Linear(3, 2, generator=0)
    program, y, z, dx = Noted(), array(8, 2), array(8, 2), array(8, 3)
    listed = Listed(program, 3, layer.parameters())
    weight, bias, dw, db = layer.weight._data, layer.bias._data, layer.weight._grad, layer.bias._grad
    listed.linear(None, weight, bias, y)
    listed.linear(dx, weight, None, z)
    listed.apply("relu", y, y, setting=0.0)
    listed.apply("leaky_relu", y, z, setting=0.25)
    listed.apply("multiply", y, z, z, overwrite=True)
    listed.apply("squared_error", z, y, reduction="rows", against_target=True)
    listed.apply("wrong", z, z)
    listed.parameter_gradients(None, y, dw, db, True)
    listed.parameter_gradients(None, y, dw, None, False)
    listed.input_gradient(y, weight, dx)
    listed.zero(dw)
    listed.zero(array(5))

    def draw(rows):
        pass

    draw.__qualname__ = "_dropout.<locals>.draw"
    listed.python(draw)
    listed.loss_ends()
    listed.update(optim.SGD(layer.parameters(), lr=0.1))
    listed.forward_ends(y)
    assert listed.lines == [
        "%1[N, 2] = linear(x[N, 3], weight[2, 3], bias[2])", "%3[N, 2] = linear(%2[N, 3], weight[2, 3])",
        "%1[N, 2] = relu(%1[N, 2])", "%3[N, 2] = leaky_relu(%1[N, 2], setting=0.25)",
        "%3[N, 2] = multiply(%1[N, 2], %3[N, 2])", "%1[N, 2] = squared_error(%3[N, 2], y, reduction=rows)",
        "count the labels that are not the largest of %3[N, 2]",
        "weight.grad[2, 3], bias.grad[2] = parameter_gradients(x[N, 3], %1[N, 2])",
        "weight.grad[2, 3] += parameter_gradients(x[N, 3], %1[N, 2])",
        "%2[N, 3] = input_gradient(%1[N, 2], weight[2, 3])",
        "weight.grad <- 0", "gradient <- 0", "dropout.draw()  in place",
        "stop unless the loss is finite", "SGD.step() of 8 numbers"]
    assert [name for name, *_ in program.calls] == [
        "linear", "linear", *["apply"] * 5, *["parameter_gradients"] * 2, "input_gradient", "zero", "zero", "python",
        "loss_ends", "update", "forward_ends"]
    passed = [(args, named) for name, args, named in program.calls if name == "apply"]
    assert [sorted(named) for _, named in passed] == [
        ["against_target", "setting"], ["against_target", "setting"], ["against_target", "b", "overwrite"],
        ["against_target", "reduction"], ["against_target"]]
    assert passed[1][0][0] == "leaky_relu" and passed[1][0][1] is y and passed[1][0][2] is z
    assert passed[2][1]["b"] is z and passed[3][1]["against_target"] is True


def test_a_step_is_told_by_its_name_and_instructions():
    @minidl.capture
    def doubled(x):
        return x * 2.0

    assert repr(doubled) == "<step test_a_step_is_told_by_its_name_and_instructions.<locals>.doubled: not yet recorded>"
    doubled(array(2, 3))
    assert repr(doubled).endswith(".doubled: compiled, 1 instructions>")
    doubled(array(2, 4))
    assert repr(doubled).endswith(".doubled: compiled, 2 instructions>") and doubled.recordings == 2
    assert [line for line in str(doubled).splitlines() if line] == [
        repr(doubled), "for x[2, 3]:", "%1[2, 3] = mul(x[2, 3], 2)", "for x[2, 4]:", "%1[2, 4] = mul(x[2, 4], 2)"]


@pytest.mark.parametrize("repeats", [0, -1, True, 1.5, "2"])
def test_repeats_that_are_refused(repeats):
    step = minidl.capture(lambda x: x * 2.0)
    with pytest.raises(ValueError, match=f"^profile: expected repeats >= 1, got {repeats!r}$"):
        step.profile(array(2), repeats=repeats)
