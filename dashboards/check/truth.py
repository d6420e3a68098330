"""Compares the panel "Ledger equation" with an audit of the ledger, to the unit.
Exit code 1: they differ (or change at this moment)."""

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import boards  # noqa: E402
import live  # noqa: E402

COLUMNS = ("total", "free", "held", "confirmed", "drift")


def main():
    arguments = argparse.ArgumentParser()
    for name in ("tree", "prometheus", "audit"):
        arguments.add_argument(f"--{name}", required=True)
    given = arguments.parse_args()
    audit = json.loads(pathlib.Path(given.audit).read_text())
    launch = next(board for board in boards.load(pathlib.Path(given.tree)) if board.name == "launch")
    queries = [query.expr for query in launch.queries() if query.place == "Ledger equation"]
    prometheus = live.Prometheus(given.prometheus, at=time.time())
    shown = {}
    for column, expr in zip(COLUMNS, queries, strict=True):
        expr = boards.fill(expr, {"job": ".+", "instance": ".+", "sale": audit["sale"]}, prometheus.rate_interval)
        for labels, values in prometheus.run(expr, instant=True)[0]:
            shown.setdefault(labels["item"], {})[column] = values[0]
    # The panel shows stores as totals only; an item without a limit has neither total nor free units.
    items = [item for item in audit["items"] if not item["item"].startswith("store:")]
    true = {
        item["item"]: {
            column: item[column] for column in COLUMNS if item["total"] is not None or column in ("held", "confirmed")
        }
        for item in items
    }
    if shown != true:
        sys.exit(f"shown: {shown}\nledger: {true}")
    print(f"{len(true)} items equal the audit, to the unit")


main()
