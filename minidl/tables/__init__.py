"""Tables of one's own: read, encoded as numbers, trained on, scored beside baselines, and kept in a run folder.

``minidl train data.csv --target price`` and ``minidl predict RUN data.csv`` are made of these files, from top to
bottom: ``reading`` a file into a ``table``; what its ``values`` may be read as, and of which ``kinds`` its columns
are; ``columns`` and ``target`` as numbers, all of them together in ``preprocessing``; ``split``, ``training``,
``baseline``, ``scores`` and ``importance``; the ``folder`` of a run, ``figures`` and the ``report`` of it as text.
"""
from .folder import Run
from .preprocessing import Preprocessing
from .reading import read
from .table import Table, TableError

__all__ = ["Preprocessing", "Run", "Table", "TableError", "read"]
