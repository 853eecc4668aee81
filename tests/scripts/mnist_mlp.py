"""Train a multi-layer perceptron on images of digits."""
import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Net(nn.Module):
    def __init__(self, pixels, hidden, classes, p):
        super().__init__()
        self.fc1 = nn.Linear(pixels, hidden)
        self.layers = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(2)])
        self.dropout = nn.Dropout(p)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))
        for layer in self.layers:
            x = F.relu(layer(x), inplace=True)
        x = self.fc2(self.dropout(x))
        return F.log_softmax(x, dim=1)


def train(model, images, labels, optimizer, batch_size):
    model.train()
    losses = []
    for start in range(0, len(images), batch_size):
        data, target = images[start:start + batch_size], labels[start:start + batch_size]
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test(model, images, labels):
    model.eval()
    with torch.no_grad():
        output = model(images)
        test_loss = F.nll_loss(output, labels, reduction="sum").item() / len(images)
        pred = output.argmax(dim=1, keepdim=True)
        correct = pred.eq(labels.view_as(pred)).sum().item()
        _, again = torch.max(output, 1)
        accuracy = (again == labels).float().mean()
    print(f"Test set: Average loss: {test_loss:.4f}, Accuracy: {correct}/{len(images)} ({accuracy:.1%})")
    return test_loss, correct


def main(images, labels, epochs=4, p=0.0, state=None):
    torch.manual_seed(1)
    images = torch.from_numpy(images).to(torch.float32).to("cpu")
    labels = torch.from_numpy(labels).long()
    held_out = len(images) // 5
    model = Net(images[0].numel(), 32, 10, p)
    if state is not None:
        model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    losses, best, best_state = [], float("inf"), None
    for _ in range(epochs):
        losses += train(model, images[held_out:], labels[held_out:], optimizer, batch_size=50)
        test_loss, correct = test(model, images[:held_out], labels[:held_out])
        scheduler.step()
        if test_loss < best:
            best, best_state = test_loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    test_loss, correct = test(model, images[:held_out], labels[:held_out])
    weights = {name: np.asarray(value) for name, value in model.state_dict().items()}
    return losses, correct / held_out, weights
