"""A small transformer learns Shakespeare's sonnets by heart, character by character, and writes on.

Each of CONTEXT positions looks at those before it: attention softmax(q k' / sqrt(d)) v in four heads, then a network of
two layers, both added to what they read. Of these sonnets, the character before alone leaves 2.32 nats open.

A. Vaswani et al., "Attention is all you need", NeurIPS 2017; A. Radford et al., "Improving language understanding by
generative pre-training" (2018); after A. Karpathy's nanoGPT.
"""
import numpy as np
from common import COLOURS, options, picture, show
from sonnets import CODES, LETTERS, coded, decoded

import minidl
from minidl import functional as F
from minidl import nn, optim

WIDTH, HEADS, LAYERS, CONTEXT, BATCH = 64, 4, 2, 32, 16


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(a.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), WIDTH)
        self.place = nn.Parameter(0.02 * minidl.randn(CONTEXT, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.output = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def forward(self, codes):
        x = self.letter(codes) + self.place[:codes.shape[1]]
        return self.output(self.norm(self.blocks(x)))


args = options(__doc__, steps=3000)
rng = np.random.default_rng(args.seed)
model = GPT()
optimizer = optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / 100, 1 - i / args.steps))  # with a warm-up


@minidl.capture
def train_step(x, y):
    loss = F.cross_entropy(model(x).view(-1, len(LETTERS)), y.view(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def sample(start, count):
    written = coded(start)
    for _ in range(count):
        z = model.predict(np.array([written[-CONTEXT:]]))[0, -1]
        written.append(rng.choice(len(LETTERS), p=F.softmax(2 * z, dim=-1)))  # twice as sure of itself as it is
    return decoded(written)


losses = []
for i in range(args.steps):
    rows = rng.integers(len(CODES) - CONTEXT, size=(BATCH, 1)) + np.arange(CONTEXT)
    losses.append(train_step(CODES[rows], CODES[rows + 1]).item())
    scheduler.step()
    if (i + 1) % max(1, args.steps // 6) == 0:
        print(f"step {i + 1}: {np.mean(losses[-100:]):.3f} nats a character")

written = sample("Shall I compare thee to my love\n", 400)
print(written)


def draw(left, right):
    left.plot(losses, color=COLOURS[0], linewidth=0.5)
    left.set(xlabel="step", ylabel="nats a character", title="A character GPT")
    show(right, written)


print(f"train_step: {train_step.path}")
picture(args.out, draw, columns=2)
print(f"nats a character: {np.mean(losses[-100:]):.3f}")
