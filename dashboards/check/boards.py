"""Reads the boards' JSON: panels, queries, variables and marks, and fills in variables as Grafana does."""

import dataclasses
import json
import re


@dataclasses.dataclass
class Query:
    """A query of a board, with its place on the board."""

    board: str
    place: str
    kind: str
    expr: str
    legend: str = ""
    instant: bool = False


class Board:
    def __init__(self, path):
        self.name = path.stem
        self.tree = json.loads(path.read_text())
        self.panels = [panel for panel in self.tree.get("panels", []) if panel["type"] != "row"]
        # A folded row contains its panels.
        for row in self.tree.get("panels", []):
            self.panels += row.get("panels", []) if row["type"] == "row" else []
        self.variables = self.tree.get("templating", {}).get("list", [])
        self.marks = self.tree.get("annotations", {}).get("list", [])

    def queries(self):
        """The queries of panels and marks."""
        for panel in self.panels:
            for target in panel.get("targets", []):
                yield Query(
                    self.name,
                    panel.get("title", ""),
                    "panel",
                    target.get("expr", ""),
                    target.get("legendFormat", ""),
                    target.get("instant", False),
                )
        for mark in self.marks:
            yield Query(self.name, mark.get("name", ""), "mark", mark.get("expr", ""), mark.get("titleFormat", ""))

    def label_values(self):
        """Variables that are label values, each with its selector and label."""
        for variable in self.variables:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", variable.get("query", ""))
                yield variable["name"], *(found.groups() if found else (None, None))


def load(tree):
    return [Board(path) for path in sorted((tree / "grafana/dashboards").glob("*.json"))]


def fill(expr, values, rate_interval):
    """The query as Grafana sends it: variables by their values, intervals derived from the scrape interval."""
    expr = expr.replace("$__rate_interval", f"{rate_interval}s").replace("$__interval", "1s").replace("$__range", "60s")
    for name, value in values.items():
        expr = re.sub(rf"\$(\{{{name}\}}|{name}\b)", lambda _, value=value: value, expr)
    return expr
