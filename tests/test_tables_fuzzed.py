"""Tables of any content: what is read is trained on and predicts finite numbers, or is an error that names it."""
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from minidl.tables import Run, TableError, folder, read
from minidl.tables.training import LEAST, RECIPE, Choice, prepare, train

CELLS = some.sampled_from(["", "NA", "?", "0", "1", "-7", "2.5", "1e99", "-1e-300", "1e400", "1,5", "yes", "no", "True",
                           "2024-01-31", "31.01.2024", "01/02/2024", "2024-01-31T12:00Z", "red", "blue", "a b", "ä€",
                           "inf", "nan", "0x10", "1_0", '"quoted"', "'", ";", "=1+1", " padded "])
QUICK = replace(RECIPE, hidden=(4,), epochs=2)


@settings(max_examples=300, deadline=None)
@given(some.binary(max_size=200) | some.text(max_size=200).map(str.encode),
       some.sampled_from([".csv", ".tsv", ".npz", ".npy"]), some.booleans())
def test_any_bytes_are_a_table_or_an_error(content, ending, skip):
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"t{ending}"
        path.write_bytes(content)
        try:
            table = read(path, skip_wrong=skip)
        except TableError as error:
            assert path.name in str(error)
        else:
            assert len(table) and {len(values) for values in table.columns.values()} == {len(table)}
            assert len(set(table.rows)) == len(table)


def quoted(cell):
    return '"' + cell.replace('"', '""') + '"'


@settings(max_examples=120, deadline=None)
@given(some.data())
def test_any_cells_are_trained_on_or_an_error(data):
    columns = data.draw(some.integers(1, 5))
    pools = [data.draw(some.lists(CELLS, min_size=1, max_size=4)) for _ in range(columns)]
    count = data.draw(some.integers(LEAST, 60))
    rng = np.random.default_rng(data.draw(some.integers(0, 2 ** 32)))
    lines = [",".join(quoted(pool[rng.integers(len(pool))]) for pool in pools) for _ in range(count)]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "t.csv"
        path.write_text("\n".join([",".join(f"c{i}" for i in range(columns)), *lines]) + "\n", encoding="utf-8")
        table = read(path)
        try:
            task = data.draw(some.sampled_from([None, "regression"]))
            prepared = prepare(table, Choice("c0", task, skip_wrong=data.draw(some.booleans())))
        except TableError as error:
            assert "t.csv" in str(error)
            return
        outcome = train(prepared, QUICK)
        assert all(np.isfinite(value) for row in outcome.scores for name, value in row.items() if name != "model")
        folder.save(outcome, 0, Path(place))
        run = Run.load(place)
        held_out = outcome.table.take(outcome.split.held_out)
        np.testing.assert_array_equal(run.predict(held_out), outcome.predicted)
        assert np.isfinite(outcome.predicted).all()
