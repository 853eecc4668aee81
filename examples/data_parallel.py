"""One model over several machines: every rank differentiates its shard of each batch, one sum joins them.

    mpiexec -n 2 python examples/data_parallel.py

With the loss summed over samples, the gradient of a batch is the sum of its shards' gradients. So ranks
that begin with the same weights and take the same steps hold the same weights for ever: those that one
rank gets from the whole batches, to within the rounding of the sum.
"""
from __future__ import annotations

import argparse
import hashlib

from mpi4py import MPI

import minidl
from minidl import checkpoint, data, nn, optim

SAMPLES, BATCH, EPOCHS, LR = 1000, 100, 50, 0.1


def train(comm: MPI.Comm) -> nn.Module:
    """The trained model, the same on every rank of ``comm``."""
    X, y = data.disk(SAMPLES, seed=0)
    model = nn.Sequential(nn.Linear(2, 25, generator=1), nn.Tanh(), nn.Linear(25, 2, generator=2))
    criterion = nn.CrossEntropyLoss(reduction="sum")
    optimizer = optim.SGD(model.parameters(), lr=LR, momentum=0.9)
    batches = data.Batches(SAMPLES, BATCH, generator=3)  # one seed: the same batches on every rank
    for _ in range(EPOCHS):
        for batch in batches:
            shard = batch[comm.rank::comm.size]
            optimizer.zero_grad()
            if len(shard):  # there may be more ranks than samples in a batch
                criterion(model(X[shard]), y[shard])
                model.accumulate(criterion.backward())
            gradient = model.flat_gradients
            comm.Allreduce(MPI.IN_PLACE, gradient)
            gradient /= len(batch)
            optimizer.step()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Data-parallel training on the disk.")
    parser.add_argument("--save", metavar="FILE.npz", help="where rank 0 writes the weights")
    args = parser.parse_args()
    comm = MPI.COMM_WORLD
    model = train(comm)
    digests = comm.gather(hashlib.sha256(model.flat_parameters.tobytes()).hexdigest()[:16])
    if comm.rank == 0:
        error = minidl.evaluate(model, nn.CrossEntropyLoss(), data.disk(SAMPLES, seed=4)).error
        print(f"{comm.size} ranks, test error {error:.1f} %, weights by rank: {', '.join(digests)}")
        if args.save:
            checkpoint.save(args.save, model)


if __name__ == "__main__":
    main()
