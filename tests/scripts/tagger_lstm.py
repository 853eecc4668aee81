"""An LSTM that tags each word of a sentence, and one with a projection that remembers the first of a sequence."""
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


def prepare_sequence(seq, to_ix):
    idxs = [to_ix[w] for w in seq]
    return torch.tensor(idxs, dtype=torch.long)


training_data = [
    ("The dog ate the apple".split(), ["DET", "NN", "V", "DET", "NN"]),
    ("Everybody read that book".split(), ["NN", "V", "DET", "NN"]),
    ("The book ate everybody".split(), ["DET", "NN", "V", "NN"]),
]
word_to_ix = {}
for sent, tags in training_data:
    for word in sent:
        if word not in word_to_ix:  # word has not been assigned an index yet
            word_to_ix[word] = len(word_to_ix)
word_to_ix.setdefault("everybody", len(word_to_ix))
tag_to_ix = {"DET": 0, "NN": 1, "V": 2}
EMBEDDING_DIM = 6
HIDDEN_DIM = 6


class LSTMTagger(nn.Module):

    def __init__(self, embedding_dim, hidden_dim, vocab_size, tagset_size):
        super(LSTMTagger, self).__init__()
        self.hidden_dim = hidden_dim
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size)

    def forward(self, sentence):
        embeds = self.word_embeddings(sentence)
        lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
        tag_space = self.hidden2tag(lstm_out.view(len(sentence), -1))
        tag_scores = F.log_softmax(tag_space, dim=1)
        return tag_scores


class Remember(nn.Module):
    def __init__(self, symbols=4, hidden=24, proj=8):
        super().__init__()
        self.lstm = nn.LSTM(input_size=symbols, hidden_size=hidden, num_layers=1, batch_first=True, proj_size=proj)
        self.head = nn.Linear(proj, symbols)

    def init_hidden(self, batch):
        weight = next(self.parameters()).data
        return (torch.zeros(1, batch, self.lstm.proj_size, dtype=torch.float32),
                torch.zeros(1, batch, self.lstm.hidden_size, dtype=torch.float32)) if weight is not None else None

    def forward(self, x):
        out, (hn, cn) = self.lstm(x, self.init_hidden(x.size(0)))
        assert torch.allclose(out[:, -1], hn[-1]) and cn.shape[-1] == self.lstm.hidden_size
        return self.head(hn[-1])


def remember(steps=150, length=4):
    torch.manual_seed(2)
    model = Remember()
    optimizer = optim.RMSprop(model.parameters(), lr=1e-2)
    accuracies = []
    for _ in range(steps):
        symbols = torch.randint(0, 4, (32, length))
        x = F.one_hot(symbols, num_classes=4).float()
        y = symbols[:, 0]
        scores = model(x)
        loss = F.cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
        optimizer.step()
        accuracies.append(scores.argmax(dim=1).eq(y).sum().item() / y.size(0))
    return sum(accuracies[-10:]) / 10


def main(epochs=200, steps=150):
    torch.manual_seed(1)
    model = LSTMTagger(EMBEDDING_DIM, HIDDEN_DIM, len(word_to_ix), len(tag_to_ix))
    loss_function = nn.NLLLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for epoch in range(epochs):
        for sentence, tags in training_data:
            # Remember that Pytorch accumulates gradients
            model.zero_grad()
            sentence_in = prepare_sequence(sentence, word_to_ix)
            targets = prepare_sequence(tags, tag_to_ix)
            tag_scores = model(sentence_in)
            loss = loss_function(tag_scores, targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    with torch.no_grad():
        tag_scores = model(prepare_sequence(training_data[0][0], word_to_ix))
        found = tag_scores.max(dim=1)[1].tolist()
        print(tag_scores)
    return losses, found, remember(steps)
