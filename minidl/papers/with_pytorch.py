"""The training of report 004 in PyTorch: same points, same initial weights, same batches."""
from __future__ import annotations

from ..data import Batches
from ..nn import Linear, Module
from ..recipe import Built
from ..training.history import History
from .trial import DiskTrial


class PyTorchTrial(DiskTrial):
    """A DiskTrial whose steps PyTorch makes: SGD on the sum of squares. Needs torch."""

    def fit(self, built: Built, train, validation, generator, callbacks, progress, resume=None) -> History:
        """Train PyTorch's twin of the model and copy the weights back; an empty History."""
        import torch
        torch.set_num_threads(1)  # the trials share the cores already
        twin = pytorch_twin(built.model)
        criterion = torch.nn.MSELoss(reduction="sum")
        optimizer = torch.optim.SGD(twin.parameters(), lr=built.optimizer.lr)
        inputs, targets = map(torch.from_numpy, train)
        batches = Batches(len(inputs), self.recipe.batch_size, generator=generator)
        for _ in range(self.recipe.epochs):
            for index in map(torch.from_numpy, batches):
                optimizer.zero_grad()
                criterion(twin(inputs[index]), targets[index]).backward()
                optimizer.step()
        built.model.load_state_dict({name: value.numpy() for name, value in twin.state_dict().items()})
        return History()


def pytorch_twin(model: Module):
    """torch.nn.Sequential of the layers of the same names and settings, with the same weights."""
    import torch
    layers = [torch.nn.Linear(child.in_features, child.out_features) if isinstance(child, Linear)
              else getattr(torch.nn, type(child).__name__)() for child in model.children()]
    twin = torch.nn.Sequential(*layers)
    twin.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in model.state_dict().items()})
    return twin
