"""A recurrent network by hand that tells the language of made-up names, letter by letter, and one that writes them."""
import random
import string

import torch
import torch.nn as nn
import torch.nn.functional as F

all_letters = string.ascii_lowercase + "'"
n_letters = len(all_letters)
all_categories = ["Elvish", "Orcish", "Roman"]
SYLLABLES = {"Elvish": ["la", "riel", "el", "thi", "lo"], "Orcish": ["grk", "uz", "'ag", "sh", "dur"],
             "Roman": ["us", "mar", "cor", "ni", "ti"]}


# One-hot vectors for the letters of a line, <line_length x 1 x n_letters>
def lineToTensor(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for li, letter in enumerate(line):
        tensor[li][0][all_letters.find(letter)] = 1
    return tensor


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(RNN, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = torch.tanh(self.i2h(combined))
        output = self.softmax(self.h2o(hidden))
        return output, hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


def categoryFromOutput(output):
    top_n, top_i = output.topk(1)
    category_i = top_i[0].item()
    return all_categories[category_i], category_i


def randomTrainingExample():
    category = random.choice(all_categories)
    line = "".join(random.choice(SYLLABLES[category]) for _ in range(random.randint(2, 3)))
    category_tensor = torch.tensor([all_categories.index(category)], dtype=torch.long)
    return category, line, category_tensor, lineToTensor(line)


criterion = nn.NLLLoss()


def train(rnn, category_tensor, line_tensor, learning_rate):
    hidden = rnn.initHidden()
    rnn.zero_grad()
    for i in range(line_tensor.size()[0]):
        output, hidden = rnn(line_tensor[i], hidden)
    loss = criterion(output, category_tensor)
    loss.backward()

    # Add parameters' gradients to their values, multiplied by learning rate
    for p in rnn.parameters():
        p.grad.data.clamp_(-1, 1)
        p.data.add_(p.grad.data, alpha=-learning_rate)
    return output, loss.item()


class Writer(nn.Module):
    """The next letter from the one before and a state."""

    def __init__(self, hidden_size=32):
        super().__init__()
        self.embed = nn.Embedding(n_letters + 1, 8)
        self.W = nn.Parameter(torch.randn(8 + hidden_size, hidden_size) * 0.1)
        self.b = nn.Parameter(torch.zeros(hidden_size))
        self.out = nn.Linear(hidden_size, n_letters + 1)
        self.hidden_size = hidden_size

    def forward(self, letters, h=None):
        if h is None:
            h = torch.zeros(letters.shape[0], self.hidden_size)
        outputs = []
        for t in range(letters.shape[1]):
            h = torch.tanh(torch.cat([self.embed(letters[:, t]), h], dim=-1) @ self.W + self.b)
            outputs.append(self.out(h))
        return torch.stack(outputs, dim=1), h

    @torch.no_grad()
    def sample(self, n, temperature=0.5):
        letters, h, names = torch.full((n, 1), n_letters, dtype=torch.long), None, []
        for _ in range(10):
            logits, h = self(letters, h)
            probs = F.softmax(logits[:, -1, :] / temperature, dim=-1)
            letters = torch.multinomial(probs, num_samples=1)
            names.append(letters)
        return torch.cat(names, dim=1)


def write(epochs=60):
    lines = sorted({a + b for a in SYLLABLES["Roman"] for b in SYLLABLES["Roman"]})
    data = torch.full((len(lines), 8), n_letters, dtype=torch.long)
    for i, line in enumerate(lines):
        data[i, 1:len(line) + 1] = torch.tensor([all_letters.index(c) for c in line])
    model = Writer()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        logits, _ = model(data[:, :-1])
        loss = F.cross_entropy(logits.reshape(-1, logits.size(-1)), data[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    names = ["".join(all_letters[i] for i in row if i < n_letters) for row in model.sample(20).tolist()]
    print("names:", ", ".join(names[:5]))
    return loss.item(), names


def main(n_iters=1200, print_every=300):
    random.seed(5)
    torch.manual_seed(5)
    rnn = RNN(n_letters, 24, len(all_categories))
    all_losses, current_loss, right = [], 0, []
    for iter in range(1, n_iters + 1):
        category, line, category_tensor, line_tensor = randomTrainingExample()
        output, loss = train(rnn, category_tensor, line_tensor, 0.05)
        current_loss += loss
        guess, guess_i = categoryFromOutput(output)
        right.append(guess == category)
        if iter % print_every == 0:
            correct = "✓" if guess == category else f"✗ ({category})"
            print(f"{iter} {iter / n_iters * 100:.0f}% {loss:.4f} {line} / {guess} {correct}")
            all_losses.append(current_loss / print_every)
            current_loss = 0
    return all_losses, sum(right[-200:]) / 200, write()
