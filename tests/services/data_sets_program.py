"""Run by the Python that has datasets, DuckDB, pandas and TRL: does what each line of its input
asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sys
from typing import Any

import datasets
import duckdb
import pandas
from trl.data_utils import is_conversational, maybe_convert_to_chatml

datasets.disable_progress_bars()


def loaded(kind: str, path: str, cache: str) -> Any:
    """The rows of a file, as a data set for training."""
    return datasets.load_dataset(kind, data_files=path, split="train", cache_dir=cache)


def conversations(path: str, cache: str) -> Any:
    """The messages of each conversation as TRL's trainers are given them, and whether TRL sees
    conversations in them."""
    rows = [maybe_convert_to_chatml(row) for row in loaded("json", path, cache)]
    return [[row["messages"], is_conversational(row)] for row in rows]


def contents(path: str, cache: str) -> Any:
    """Conversation, position, content and time of each row of a Parquet file, as each reads it."""
    columns = ["conversation_id", "position", "content"]
    frame = pandas.read_parquet(path)
    found = duckdb.execute(
        "SELECT conversation_id, position, content, created_at AT TIME ZONE 'UTC', "
        "metadata->>'n' FROM read_parquet(?) ORDER BY conversation_id, position",
        [path],
    ).fetchall()
    rows = loaded("parquet", path, cache)
    return {
        "pandas": frame[columns].to_numpy().tolist(),
        "times": [None if each is pandas.NaT else each.isoformat() for each in frame["created_at"]],
        "duckdb": [[*row[:3], row[3] and row[3].isoformat(), row[4]] for row in found],
        "datasets": [[row[column] for column in columns] for row in rows],
    }


for line in sys.stdin:
    asked = json.loads(line)
    do = {"conversations": conversations, "contents": contents}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
