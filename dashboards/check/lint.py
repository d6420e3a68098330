"""The rules of boards besides their data: those of Grafana's dashboard-linter that apply (named beside them), and this
project's own."""

import promql_parser as parser
from exceptions import NOT_NARROWED
from grafana_foundation_sdk.models import units
from promql import COUNTED, RATE_INTERVAL, parse, selectors

UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# The oldest schema that Grafana 11 writes.
SCHEMA_MIN = 39


def lint(boards, used):
    """Faults of the boards; used exceptions are added to `used`."""
    for board in boards:
        for fault in [*whole(board), *variables(board), *panels(board), *queries(board, used)]:
            yield f"{board.name}: {fault}"
    for member in ("uid", "title"):
        values = [board.tree.get(member) for board in boards]
        yield from (f"{member} {value!r} is there twice" for value in {v for v in values if values.count(v) > 1})


def whole(board):
    if board.tree.get("editable") is not False:
        yield "can be edited in place (uneditable-dashboard)"
    if not board.tree.get("uid"):
        yield "has no uid of its own"
    if board.tree.get("schemaVersion", 0) < SCHEMA_MIN:
        yield f"has a schema older than {SCHEMA_MIN}"
    ids = [panel.get("id") for panel in board.tree["panels"]]
    if len(set(ids)) != len(ids) or not all(ids):
        yield "has panels without a number of their own"
    if not board.marks and board.name in ("launch", "loadtest"):
        yield "marks no moments"


def variables(board):
    by_name = {variable["name"]: variable for variable in board.variables}
    sources = [variable for variable in board.variables if variable["type"] == "datasource"]
    if [(s["name"], s.get("label"), s.get("query")) for s in sources] != [("datasource", "Data source", "prometheus")]:
        yield "does not have one variable for its data source (template-datasource-rule)"
    for name in ("job", "instance"):
        variable = by_name.get(name)
        if variable is None:
            yield f"has no variable {name} (template-{name}-rule)"
            continue
        wanted = {
            "label": name.title(),
            "type": "query",
            "datasource": SOURCE,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
        }
        for member, value in wanted.items():
            if variable.get(member) != value:
                yield f"variable {name}: {member} is not {value!r} (template-{name}-rule)"
    for name, selector, _ in board.label_values():
        if selector is None:
            yield f"variable {name} is not label_values(SELECTOR, LABEL) (template-label-promql-rule)"
        if by_name[name].get("refresh") != 2:
            yield f"variable {name} is not refreshed when the time changes (template-on-time-change-reload-rule)"


def panels(board):
    for panel in board.panels:
        title = panel.get("title") or f"panel {panel.get('id')}"
        if not panel.get("title") or not panel.get("description"):
            yield f"{title}: no title or description (panel-title-description-rule)"
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
        if unit not in UNITS:
            yield f"{title}: unit {unit!r} is not one of Grafana's (panel-units-rule)"
        if not panel.get("targets"):
            yield f"{title}: no query (panel-no-targets-rule)"
        for source in [panel.get("datasource"), *(target.get("datasource") for target in panel.get("targets", []))]:
            if source != SOURCE:
                yield f"{title}: its data source is not the variable (panel-datasource-rule)"
        references = [target.get("refId") for target in panel.get("targets", [])]
        if len(set(references)) != len(references) or not all(references):
            yield f"{title}: queries without a letter of their own"
        if panel["type"] == "stat" and not all(target.get("instant") for target in panel.get("targets", [])):
            yield f"{title}: shows an old value as the current one"
    yield from places(board)
    for mark in board.marks:
        if mark.get("datasource") != SOURCE:
            yield f"{mark.get('name')}: its data source is not the variable"


def places(board):
    """Grafana has 24 columns; it moves panels that do not fit."""
    taken = {}
    for panel in board.tree["panels"]:
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            yield f"{panel.get('title')}: does not fit the columns"
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if taken.setdefault(cell, panel["id"]) != panel["id"]:
                yield f"{panel.get('title')}: lies over another panel"
                break


def queries(board, used):
    for query in board.queries():
        try:
            tree = parse(query.expr)
        except ValueError:
            continue  # reported where queries are read
        found = []
        for selector, path in selectors(tree):
            matchers = {
                (matcher.name, matcher.op == parser.MatchOp.Re, matcher.value) for matcher in selector.matchers.matchers
            }
            for label in ("job", "instance"):
                if (label, True, f"${label}") not in matchers:
                    found.append(f"{selector.name} is not narrowed to ${label} (target-{label}-rule)")
            call = path[-2].func.name if len(path) > 1 and isinstance(path[-2], parser.Call) else ""
            if call in COUNTED and path[-1].range.total_seconds() != RATE_INTERVAL:
                yield f"{query.place}: {call} not over $__rate_interval (target-rate-interval-rule)"
        if found and (board.name, query.place) in NOT_NARROWED:
            used.add(("NOT_NARROWED", (board.name, query.place)))
        else:
            yield from (f"{query.place}: {fault}" for fault in found)
