"""Texts told apart by a bag of embeddings, with offsets in place of padding, and by n-grams of learnt vectors."""
import time
from collections import Counter

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data.dataset import random_split

TOPICS = {0: "match goal team score win league player coach season cup".split(),
          1: "market stock bank price trade rate share profit growth tax".split(),
          2: "planet star light orbit space moon rocket probe mission sky".split()}
COMMON = "the a of and to in is was for on".split()


def texts(n, generator):
    made = []
    for _ in range(n):
        label = torch.randint(0, 3, (1,), generator=generator).item()
        length = int(torch.randint(5, 12, (1,), generator=generator))
        topical = torch.rand(length, generator=generator) < 0.3
        pick = torch.randint(10, (length,), generator=generator)
        words = [(TOPICS[label] if t else COMMON)[i] for t, i in zip(topical.tolist(), pick.tolist())]
        made.append((label, " ".join(words)))
    return made


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super(TextClassificationModel, self).__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, sparse=False)
        self.fc = nn.Linear(embed_dim, num_class)
        self.init_weights()

    def init_weights(self):
        initrange = 0.5
        self.embedding.weight.data.uniform_(-initrange, initrange)
        self.fc.weight.data.uniform_(-initrange, initrange)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        embedded = self.embedding(text, offsets)
        return self.fc(embedded)


def main(epochs=6):
    torch.manual_seed(0)
    device = torch.device("cpu")
    rows = texts(900, torch.Generator().manual_seed(4))
    counter = Counter(word for _, text in rows for word in text.split())
    vocab = {word: i + 1 for i, (word, _) in enumerate(counter.most_common())}

    def collate_batch(batch):
        label_list, text_list, offsets = [], [], [0]
        for _label, _text in batch:
            label_list.append(_label)
            processed_text = torch.tensor([vocab.get(word, 0) for word in _text.split()], dtype=torch.int64)
            text_list.append(processed_text)
            offsets.append(processed_text.size(0))
        label_list = torch.tensor(label_list, dtype=torch.int64)
        offsets = torch.tensor(offsets[:-1]).cumsum(dim=0)
        text_list = torch.cat(text_list)
        return label_list.to(device), text_list.to(device), offsets.to(device)

    train_set, valid_set, test_set = random_split(rows, [600, 100, 200])
    train_dataloader = DataLoader(train_set, batch_size=16, shuffle=True, collate_fn=collate_batch)
    valid_dataloader = DataLoader(valid_set, batch_size=50, shuffle=False, collate_fn=collate_batch)
    test_dataloader = DataLoader(test_set, batch_size=50, shuffle=True, collate_fn=collate_batch)
    model = TextClassificationModel(len(vocab) + 1, 16, 3).to(device)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    total_accu, losses = None, []

    def evaluate(dataloader):
        model.eval()
        total_acc, total_count = 0, 0
        with torch.no_grad():
            for _, (label, text, offsets) in enumerate(dataloader):
                predicted_label = model(text, offsets)
                total_acc += (predicted_label.argmax(1) == label).sum().item()
                total_count += label.size(0)
        return total_acc / total_count

    for epoch in range(1, epochs + 1):
        epoch_start_time = time.time()
        model.train()
        for _, (label, text, offsets) in enumerate(train_dataloader):
            optimizer.zero_grad()
            predicted_label = model(text, offsets)
            loss = criterion(predicted_label, label)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            losses.append(loss.item())
        accu_val = evaluate(valid_dataloader)
        if total_accu is not None and total_accu > accu_val:
            scheduler.step()
        else:
            total_accu = accu_val
        print("| end of epoch {:3d} | time: {:5.2f}s | valid accuracy {:8.3f} ".format(
            epoch, time.time() - epoch_start_time, accu_val))
    return losses, evaluate(test_dataloader)
