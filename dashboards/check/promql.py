"""Parses queries: finds their metrics and labels, and mistakes that are visible without running them."""

import re

import promql_parser as parser

# Replaces Grafana's interval during parsing; no query has it literally.
RATE_INTERVAL = 7919
COUNTED = {"rate", "irate", "increase"}
GAUGED = {"deriv", "delta", "idelta", "predict_linear"}


def parse(expr):
    """The query's tree, Grafana's variables of time filled in. A ValueError describes a fault."""
    for name, stands_for in (("$__rate_interval", f"{RATE_INTERVAL}s"), ("$__interval", "1s"), ("$__range", "60s")):
        expr = expr.replace(name, stands_for)
    return parser.parse(expr)


def children(node):
    match node:
        case parser.AggregateExpr() | parser.ParenExpr() | parser.UnaryExpr() | parser.SubqueryExpr():
            return [node.expr]
        case parser.BinaryExpr():
            return [node.lhs, node.rhs]
        case parser.Call():
            return list(node.args)
        case parser.MatrixSelector():
            return [node.vector_selector]
    return []


def selectors(node, path=()):
    """Every selector with its enclosing expressions, the outermost first."""
    if isinstance(node, parser.VectorSelector):
        yield node, path
    for child in children(node):
        yield from selectors(child, (*path, node))


def names(expr):
    return {selector.name for selector, _ in selectors(parse(expr))}


class Reader:
    """Checks queries against the declared series."""

    def __init__(self, series):
        self.series = series

    def faults(self, expr):
        """The faults of a query, and the labels that its result may have."""
        try:
            tree = parse(expr)
        except ValueError as error:
            return [f"is not valid PromQL: {error}"], set()
        faults = []
        for selector, path in selectors(tree):
            faults += self.selector(selector, path)
        # An undeclared metric has no declared labels.
        if faults:
            return faults, set()
        return faults, self.labels(tree, faults)

    def selector(self, selector, path):
        if selector.name not in self.series:
            yield f"names {selector.name}, which is not declared"
            return
        _, metric = self.series[selector.name]
        for matcher in selector.matchers.matchers:
            if matcher.name not in metric.labels:
                yield f"matches the label {matcher.name}, which {selector.name} does not have"
            else:
                yield from self.values(selector.name, matcher, metric.labels[matcher.name])
        yield from self.counting(selector.name, metric, path)
        if metric.is_ledger() or selector.name.startswith("launchgate_fleet_"):
            around = [node.op for node in path if isinstance(node, parser.AggregateExpr)]
            if not around or str(around[-1]) not in ("max", "min"):
                yield f"takes {selector.name} other than by max or min: every gateway exports it for all"

    def values(self, name, matcher, declared):
        if declared is None or "$" in matcher.value:
            return
        # What an exporter of others has depends on the host.
        if name.startswith("node_") and matcher.op in (parser.MatchOp.NotEqual, parser.MatchOp.NotRe):
            return
        if matcher.op in (parser.MatchOp.Equal, parser.MatchOp.NotEqual):
            wanted = [re.escape(matcher.value)]
        else:
            wanted = matcher.value.split("|")
        for pattern in wanted:
            if not any(re.fullmatch(pattern, value) for value in declared):
                yield f"asks for {matcher.name}={pattern!r}, which {name} never has"

    def counting(self, name, metric, path):
        call = path[-2].func.name if len(path) > 1 and isinstance(path[-2], parser.Call) else ""
        counted = call in COUNTED and isinstance(path[-1], parser.MatrixSelector)
        if metric.kind == "counter" and not counted:
            yield f"takes the counter {name} without rate or increase"
        if metric.kind == "gauge" and counted:
            yield f"takes {call} of {name}, which is a gauge"
        if metric.kind == "counter" and call in GAUGED:
            yield f"takes {call} of {name}, which is a counter"

    def labels(self, node, faults):
        """The labels that the result may have; other names are faults."""
        match node:
            case parser.VectorSelector():
                return set(self.series[node.name][1].labels)
            case parser.AggregateExpr():
                return self.aggregated(node, faults)
            case parser.BinaryExpr():
                return self.joined(node, faults)
            case parser.Call():
                inner = set().union(*(self.labels(arg, faults) for arg in node.args))
                if node.func.name == "histogram_quantile" and "le" not in inner:
                    faults.append("takes a quantile of what has no buckets (le)")
                return inner - {"le"} if node.func.name == "histogram_quantile" else inner
        return set().union(*(self.labels(child, faults) for child in children(node)))

    def aggregated(self, node, faults):
        inner = self.labels(node.expr, faults)
        if node.modifier is None:
            return set()
        named = set(node.modifier.labels)
        for label in sorted(named - inner):
            faults.append(f"groups by {label}, which {node.expr} does not have")
        return named if node.modifier.type == parser.AggModifierType.By else inner - named

    def joined(self, node, faults):
        left, right = self.labels(node.lhs, faults), self.labels(node.rhs, faults)
        matching = node.modifier.matching if node.modifier else None
        if matching is not None:
            for label in matching.labels:
                if label not in left or label not in right:
                    faults.append(f"joins on {label}, which not both sides have")
        match str(node.op):
            case "or":
                return left | right
            case "and" | "unless":
                return left
        scalar = not right or isinstance(node.rhs, parser.NumberLiteral)
        if matching is not None and matching.type == parser.LabelModifierType.Include and not scalar:
            several = node.modifier.card == parser.VectorMatchCardinality.ManyToOne
            return left | set(node.modifier.group_labels or []) if several else set(matching.labels)
        return left or right
