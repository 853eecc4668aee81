"""LeNet-5 on drawn digits (LeCun et al. 1998), saved to a file and read again."""
import copy
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

STROKES = ["1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011"]


def digits(n, seed):
    """Digits of seven strokes in pictures of 28 x 28, moved and noisy."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, 10, n)
    images = np.zeros((n, 1, 28, 28), dtype=np.float32)
    for k, label in enumerate(labels):
        y, x = rng.randint(2, 8), rng.randint(4, 12)
        on = [c == "1" for c in STROKES[label]]
        for part, where in zip(on, [(0, slice(0, 9)), (slice(0, 9), 0), (slice(0, 9), 8), (8, slice(0, 9)),
                                    (slice(8, 17), 0), (slice(8, 17), 8), (16, slice(0, 9))]):
            if part:
                images[k, 0, y:y + 18, x:x + 10][where] = 1
    images += 0.3 * rng.randn(*images.shape).astype(np.float32)
    return torch.from_numpy(images), torch.from_numpy(labels).long()


class LeNet(nn.Module):

    def __init__(self):
        super(LeNet, self).__init__()
        # 1 input image channel, 6 output channels, 5x5 square convolution
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        # an affine operation: y = Wx + b
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        # Max pooling over a (2, 2) window
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        # If the size is a square you can only specify a single number
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return F.log_softmax(self.fc3(x), dim=1)

    def num_flat_features(self, x):
        size = x.size()[1:]  # all dimensions except the batch dimension
        num_features = 1
        for s in size:
            num_features *= s
        return num_features


def test(model, device, test_loader):
    model.eval()
    test_loss = 0
    correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()  # sum up batch loss
            pred = output.argmax(dim=1, keepdim=True)  # get the index of the max log-probability
            correct += pred.eq(target.view_as(pred)).sum().item()
    test_loss /= len(test_loader.dataset)
    print("\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\n".format(
        test_loss, correct, len(test_loader.dataset), 100.0 * correct / len(test_loader.dataset)))
    return correct / len(test_loader.dataset)


def main(epochs=4):
    torch.manual_seed(0)
    use_cuda = torch.cuda.is_available()
    device = torch.device("cuda" if use_cuda else "cpu")
    trainloader = DataLoader(TensorDataset(*digits(1200, 0)), batch_size=32, shuffle=True, num_workers=0)
    testloader = DataLoader(TensorDataset(*digits(400, 1)), batch_size=100, shuffle=False)
    net = LeNet().to(device)
    print(net)
    params = list(net.parameters())
    print(len(params), params[0].size())  # conv1's .weight
    for name, param in net.named_parameters():
        if param.requires_grad and "bias" in name:
            param.data.zero_()

    criterion = nn.NLLLoss()
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    losses, best_acc, best_model_wts = [], 0.0, copy.deepcopy(net.state_dict())
    for epoch in range(epochs):
        net.train()
        running_loss = 0.0
        for i, data in enumerate(trainloader, 0):
            inputs, labels = data[0].to(device), data[1].to(device)
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()

            _, predicted = torch.max(outputs.data, 1)
            correct = (predicted == labels).sum().item()
            running_loss += loss.item()
            losses.append(loss.item())
            if i % 10 == 9:
                print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 10:.3f} right: {correct}/{labels.size(0)}")
                running_loss = 0.0
        scheduler.step()
        accuracy = test(net, device, testloader)
        if accuracy > best_acc:
            best_acc, best_model_wts = accuracy, copy.deepcopy(net.state_dict())

    net.load_state_dict(best_model_wts)
    with tempfile.TemporaryDirectory() as folder:
        PATH = os.path.join(folder, "lenet.pth")
        torch.save(net.state_dict(), PATH)
        again = LeNet()
        again.load_state_dict(torch.load(PATH))
        frozen = copy.deepcopy(net)
        for param in frozen.parameters():
            param.requires_grad = False
        x = next(iter(testloader))[0]
        assert torch.equal(again(x).detach(), net(x).detach()) and not frozen(x).requires_grad
    return losses, best_acc
