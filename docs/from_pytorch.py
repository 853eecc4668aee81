"""Writes docs/from_pytorch.md: PyTorch's names that a small script uses, and whether minidl has them.

    python docs/from_pytorch.py          writes the page
    python docs/from_pytorch.py --check  says whether it is as it would be written (exit status 1 if not)

A name is the same where minidl has it with PyTorch's arguments, in their order, but for those of IGNORED. What differs
is told by DIFFERENT, or by the arguments that are missing. Both libraries are imported.
"""
from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

import minidl

PAGE = Path(__file__).parent / "from_pytorch.md"

# Arguments that a script can leave out without a change of what it computes on a CPU
IGNORED = {"out", "layout", "pin_memory", "memory_format", "inplace", "device", "dtype", "foreach", "fused",
           "capturable", "differentiable", "size_average", "reduce", "names", "last_epoch", "self", "_stacklevel",
           "requires_grad", "generator", "stacklevel", "non_blocking", "args", "kwargs", "input", "sparse", "verbose",
           "x", "tensors", "a", "b", "other", "tensor", "key", "_weight", "_freeze", "batch", "memo", "orig_func"}

# What families of names have in them that are left out as a whole
LEFT_OUT = ("3d", "Lazy", "Transpose", "Fractional", "LPPool", "LpPool", "Unpool", "Quant")

DIFFERENT = {
    "nn.Module.state_dict": "values are arrays (with `clone`, `numpy`, `detach` and a Tensor's other methods)",
    "nn.Module.parameters": "a list, of which `next()` takes one after the other",
    "nn.Module.modules": "a list, of which `next()` takes one after the other",
    "nn.Module.children": "a list, of which `next()` takes one after the other",
    "nn.Module.buffers": "a list, of which `next()` takes one after the other",
    "nn.Module.register_full_backward_hook": "replaces the gradient of a single input alone",
    "Tensor.data": "the NumPy array (a Parameter's has a Tensor's methods, too); `detach()` gives a Tensor",
    "Tensor.grad": "an array that has a Tensor's methods, too; a Tensor after `create_graph=True`",
    "Tensor.shape": "a tuple", "Tensor.size": "a tuple", "Tensor.dtype": "NumPy's",
    "Tensor.to": "the device may be the CPU alone",
    "Tensor.cuda": "a ValueError: minidl computes on the CPU",
    "Tensor.__setitem__": "within `no_grad()` where a gradient is required; PyTorch records it",
    "Tensor.add_": "in place within `no_grad()`, or where no gradient is required; so all that end in `_`",
    "Tensor.is_contiguous": "images lie with the channels last",
    "manual_seed": "minidl's own stream; the numbers are others",
    "save": "named arrays, such as a state_dict, without pickle",
    "load": "named arrays, without pickle",
    "float": "NumPy's dtype; so all dtypes",
    "normal": "mean or std as Tensors have derivatives", "empty": "zeros",
    "unique": "sorted always", "topk": "sorted always", "device": "the CPU alone",
    "nn.functional.embedding": "no max_norm: the module has it",
    "optim.Optimizer": "a subclass writes `formula`; one with a `step` of its own runs as Python",
    "utils.data.DataLoader": "loads in this process, whatever num_workers says",
}
MISSING = {
    "Tensor.register_hook": "a Module has `register_full_backward_hook`",
    "Tensor.retain_grad": "`autograd.grad` gives the gradient of any Tensor",
    "Tensor.grad_fn": "`node`", "compile": "`minidl.capture`",
    "autograd.Function": "a Module with a `forward` and a `backward` on arrays",
    "nn.utils.rnn.pack_padded_sequence": "RNN, GRU and LSTM take `lengths=`",
    "set_default_dtype": "`dtype=np.float64`, or `model.double()`",
    "nn.DataParallel": "threads share a step: `set_num_threads`",
    "Tensor.half": "float32 and float64 alone", "nn.Module.half": "float32 and float64 alone",
    "nn.Module.cuda": "the CPU alone",
}



def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


TORCH = words("""
abs add all allclose any arange argmax argmin argsort as_tensor atan2 baddbmm bernoulli bincount bmm bool broadcast_to
cat cdist ceil chunk clamp clip clone concat cos cosh count_nonzero cross cumprod cumsum cuda.is_available
deg2rad det device diag diagonal diff div dot double einsum empty empty_like enable_grad eq equal erf exp expm1 eye
finfo flatten flip float float32 float64 floor floor_divide from_numpy full full_like gather ge gt hstack
inference_mode inf int int32 int64 interp inverse is_grad_enabled is_tensor isclose isfinite isinf isnan kron le
lerp linspace load log log10 log1p log2 logical_and logical_not logical_or logspace logsumexp long lt manual_seed
masked_fill masked_select matmul max maximum mean median meshgrid min minimum mm mul multinomial mv nan nan_to_num ne
neg no_grad nonzero norm normal numel one_hot ones ones_like outer permute pi pow prod rand rand_like randint randn
randn_like randperm reciprocal relu remainder reshape roll round rsqrt save scatter searchsorted select
set_default_dtype set_grad_enabled set_num_threads get_num_threads sigmoid sign sin sinh softmax sort split sqrt
square squeeze stack std sub sum swapaxes t take_along_dim tan tanh tensor tensordot tile topk trace transpose tril
triu trunc uint8 unbind unique unsqueeze var vmap vstack where zeros zeros_like compile Generator Tensor
autograd.grad autograd.Function autograd.functional.jacobian autograd.functional.hessian autograd.gradcheck
func.vmap linalg.norm linalg.solve linalg.inv linalg.svd fft.rfft
""")
TENSOR = words("""
__getitem__ __setitem__ T abs add add_ addmm all allclose any argmax argmin argsort backward bernoulli_ bmm bool
byte ceil chunk clamp clamp_ clip clone contiguous copy_ cos count_nonzero cpu cuda cumprod cumsum data detach
detach_ device diag dim div div_ dot double dtype eq equal erf exp exp_ expand expand_as expm1 fill_ flatten flip
float floor gather ge grad grad_fn gt half index_add_ index_fill_ index_select int is_contiguous is_cuda
is_floating_point is_leaf isnan item le lerp_ log log10 log1p log2 log_softmax logical_and logical_not logical_or
logsumexp long lt mT masked_fill masked_fill_ masked_select matmul max maximum mean median min minimum mm movedim mul
mul_ multinomial mv narrow ndim ndimension ne neg nelement new_full new_ones new_tensor new_zeros nonzero norm
normal_ numel numpy outer permute pow pow_ prod reciprocal register_hook relu relu_ remainder repeat
repeat_interleave requires_grad requires_grad_ reshape reshape_as retain_grad roll round rsqrt scatter_ scatter_add
scatter_add_ select shape sigmoid sign sin size softmax sort split sqrt square squeeze squeeze_ std sub sub_ sum
swapaxes t tanh tile to tolist topk trace transpose tril triu trunc type type_as unbind unfold uniform_ unique
unsqueeze unsqueeze_ var view view_as where zero_
""")
MODULE = words("""
add_module apply buffers children cpu cuda double eval extra_repr float forward get_buffer get_parameter
get_submodule half load_state_dict modules named_buffers named_children named_modules named_parameters parameters
register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook register_module
register_parameter requires_grad_ state_dict to train training type zero_grad
""")
UTILS = words("""
nn.utils.clip_grad_norm_ nn.utils.clip_grad_value_ nn.utils.parameters_to_vector nn.utils.vector_to_parameters
nn.utils.rnn.pack_padded_sequence nn.utils.rnn.pad_sequence nn.utils.parametrizations.weight_norm
nn.utils.parametrizations.spectral_norm optim.swa_utils.AveragedModel optim.swa_utils.SWALR optim.swa_utils.update_bn
optim.swa_utils.get_ema_avg_fn optim.swa_utils.get_ema_multi_avg_fn utils.data.DataLoader utils.data.Dataset
utils.data.IterableDataset utils.data.Subset utils.data.TensorDataset utils.data.random_split
utils.data.ConcatDataset utils.data.WeightedRandomSampler utils.data.default_collate
""")


class Row(NamedTuple):
    """A name, "same", "different" or "missing", and why."""

    name: str
    state: str
    why: str = ""


def found(library: Any, name: str) -> Any:
    """The object of a dotted name, or None."""
    for part in name.split("."):
        library = getattr(library, part, None)
        if library is None:
            return None
    return library


def arguments(what: Any) -> list[str] | None:
    """The names of the arguments, or None where Python does not tell them."""
    try:
        signature = inspect.signature(what)
    except (TypeError, ValueError):
        return None
    return [name for name, one in signature.parameters.items()
            if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def row(name: str, theirs: Any, mine: Any) -> Row:
    """What the page says of a name."""
    if mine is None:
        return Row(name, "missing", MISSING.get(name, ""))
    if DIFFERENT.get(name):
        return Row(name, "different", DIFFERENT[name])
    their, own = arguments(theirs), arguments(mine)
    if their is None or own is None or not (inspect.isclass(theirs) or inspect.isroutine(theirs)):
        return Row(name, "same")
    takes_any = any(one.kind is one.VAR_KEYWORD for one in inspect.signature(mine).parameters.values())
    lacking = [] if takes_any else [one for one in their if one not in own and one not in IGNORED]
    if lacking:
        return Row(name, "different", "without " + ", ".join(f"`{one}`" for one in lacking))
    shared = [one for one in their if one in own and one not in IGNORED]
    if shared != [one for one in own if one in shared]:
        return Row(name, "different", "arguments in another order: by name")
    return Row(name, "same")


def public(package: Any, kind: Any) -> Iterator[str]:
    """Names of a package that are classes or functions of PyTorch's own, as ``kind`` says."""
    for name in sorted(dir(package), key=lambda name: (name.lower(), name)):
        value = getattr(package, name, None)
        if not name.startswith("_") and kind(value) and not any(part in name for part in LEFT_OUT):
            yield name


def is_module(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, torch.nn.Module)


def is_optimizer(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)


def is_scheduler(value: Any) -> bool:
    return inspect.isclass(value) and value.__module__ == "torch.optim.lr_scheduler" and value.__name__[0] != "_"


def is_function(value: Any) -> bool:
    return callable(value) and not inspect.isclass(value) and getattr(value, "__module__", "") != "typing" and (
        getattr(value, "__module__", "") in ("torch.nn.functional", "torch._C._nn", None)
        or type(value).__name__ == "builtin_function_or_method") and not value.__name__.startswith("_")


def is_initial(value: Any) -> bool:
    return inspect.isfunction(value) and value.__name__.endswith("_") and not value.__name__.startswith("_")


def is_distribution(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, torch.distributions.Distribution)


def sections() -> Iterator[tuple[str, list[Row]]]:
    """A heading, and the rows below it."""
    def by_path(names, prefix="") -> list[Row]:
        return [row(name, found(torch, prefix + name), found(minidl, prefix + name)) for name in names]

    def all_of(path: str, kind) -> list[Row]:
        package = found(torch, path)
        return [row(f"{path}.{name}", getattr(package, name), found(minidl, f"{path}.{name}"))
                for name in public(package, kind)]

    yield "`torch`: functions and dtypes", by_path(TORCH)
    yield "Methods and attributes of a Tensor", [
        row(f"Tensor.{name}", getattr(torch.Tensor, name, None), found(minidl.Tensor, name)
            or (True if name in ("grad",) else None)) for name in TENSOR]
    yield "`nn`: modules and losses", all_of("nn", is_module)
    yield "Methods of a Module", [
        row(f"nn.Module.{name}", getattr(torch.nn.Module, name, None), True if name == "training" else
            found(minidl.nn.Module, name)) for name in MODULE]
    yield "`nn.functional`", all_of("nn.functional", is_function)
    yield "`nn.init`", all_of("nn.init", is_initial)
    yield "`optim`", all_of("optim", is_optimizer)
    yield "`optim.lr_scheduler`", all_of("optim.lr_scheduler", is_scheduler)
    yield "`distributions`", [*all_of("distributions", is_distribution), *by_path(["distributions.kl_divergence"])]
    yield "Utilities", by_path(UTILS)


def page() -> str:
    """The text of docs/from_pytorch.md."""
    told = list(sections())
    counts = {state: sum(one.state == state for _, rows in told for one in rows)
              for state in ("same", "different", "missing")}
    lines = [
        "# Coming from PyTorch", "",
        "A script is ported by its imports: `import minidl as torch`, `from minidl import nn, optim`, "
        "`import minidl.nn.functional as F`, `from minidl.utils.data import DataLoader`. What stands below is written "
        f"by `docs/from_pytorch.py`, which imports both libraries (PyTorch {torch.__version__.split('+')[0]}) and "
        "compares names and arguments.", "",
        f"**{counts['same']} names are the same, {counts['different']} differ in what is said, "
        f"{counts['missing']} are missing.** Families that minidl leaves out as a whole are not listed: "
        "three-dimensional layers, transposed convolutions, lazy, quantised and sparse ones.", "",
        "Three things differ everywhere:", "",
        "- A Tensor's `data`, a Parameter's `grad` and the values of a `state_dict()` are NumPy arrays. Those of "
        "parameters and gradients have a Tensor's methods beside NumPy's (`p.grad.data.clamp_(-1, 1)`, "
        "`p.grad.norm()`).",
        "- Dtypes are NumPy's. The device is the CPU: others are a ValueError.",
        "- What changes in place (`x += 1`, `x[i] = 1`, `x.add_(1)`) a Tensor that requires a gradient is an error "
        "outside `no_grad()`; PyTorch records it for results in between.", ""]
    for title, rows in told:
        lines += [f"## {title}", "", "| name | | |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {one.state} | {one.why} |" for one in rows]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Write the page, or check it."""
    text = page()
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text() != text)
    PAGE.write_text(text)
    print(f"{PAGE}: {text.count('| same |')} same, {text.count('| different |')} different, "
          f"{text.count('| missing |')} missing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
