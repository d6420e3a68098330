"""Runs every query against a Prometheus with the data of a launch: finds failures and missing data."""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request

import promql_parser as parser
from boards import fill
from exceptions import EMPTY, SILENT
from promql import parse, selectors

# No proxy: Prometheus is on this host.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Instants of this century in ms; seconds would be in 1970.
MILLISECONDS = 1e12


# Every target is scraped, most of them each second, and the load runs.
BUSY = (
    'min(up) == 1 and min(count_over_time(up{job!~"probe|prometheus|alertmanager"}[4s])) >= 3'
    " and sum(rate(launchgate_loadtest_taps_total[4s])) > 0"
)


class Prometheus:
    """Query results for the time from `start` to `end`, and for the instant `at`; cached by query."""

    def __init__(self, url, start=0, end=0, at=0, scrape_interval=1):
        self.url, self.start, self.end, self.at = url, start, end, at
        # Four scrapes, as in Grafana.
        self.rate_interval = 4 * scrape_interval
        self.answers = {}

    def at_its_busiest(self):
        """Sets the instants to those of the load."""
        data, error = self.ask("query_range", query=BUSY, start=self.start, end=self.end, step=1)
        if error or not data["result"]:
            raise SystemExit(f"found no moment with every target scraped and the load running: {error or BUSY}")
        self.at = data["result"][0]["values"][-1][0]

    def ask(self, path, **query):
        key = path, *query.items()
        if key not in self.answers:
            try:
                with OPENER.open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
                    self.answers[key] = json.load(answer)["data"], None
            except urllib.error.HTTPError as error:
                self.answers[key] = None, json.load(error).get("error", str(error))
        return self.answers[key]

    def run(self, expr, instant=False):
        """Labels and values of each series, or the error."""
        if instant:
            data, error = self.ask("query", query=expr, time=self.at)
        else:
            data, error = self.ask("query_range", query=expr, start=self.start, end=self.end, step=1)
        if error:
            return [], error
        if data["resultType"] == "scalar":
            return [({}, [float(data["result"][1])])], None
        found = [
            (each["metric"], [float(value) for _, value in each.get("values") or [each["value"]]]) for each in data["result"]
        ]
        # NaN counts as missing.
        return [
            (labels, numbers) for labels, values in found if (numbers := [value for value in values if math.isfinite(value)])
        ], None

    def label_values(self, selector, label):
        query = {"match[]": selector, "start": self.start, "end": self.end}
        return self.ask(f"label/{label}/values", **query)


def boards(boards, prometheus):
    for board in boards:
        every, chosen = {}, {}
        for name, selector, label in board.label_values():
            if selector is None:
                continue
            values, error = prometheus.label_values(fill(selector, every, prometheus.rate_interval), label)
            if error or not values:
                yield f"{board.name}: variable {name}: {error or 'has no values'}"
                continue
            multi = next(variable for variable in board.variables if variable["name"] == name).get("multi")
            # The selection as Grafana writes it (a regular expression within quotes), and "All".
            chosen[name] = (
                "(" + "|".join(re.sub(r"[\\$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value) for value in values) + ")"
                if multi
                else values[0]
            )
            every[name] = ".+" if multi else values[0]
        for query in board.queries():
            for values in (every, chosen):
                fault = look(query, prometheus, values)
                if fault:
                    yield f"{board.name}: {query.place}: {fault}"
                    break


def watchers(boards, prometheus):
    """What watches and is not configured must show as 0: nothing else reports it."""
    for board in boards:
        for query in board.queries():
            if query.place == "Watched by":
                expr = query.expr.replace('job="', 'job="no-')
                found, error = prometheus.run(expr, instant=True)
                if error or [values for _, values in found] != [[0.0]]:
                    yield f"{board.name}: {query.place}: shows {found} where nothing is configured: {error or expr}"


def look(query, prometheus, values):
    """The fault of a query's result."""
    expr = fill(query.expr, values, prometheus.rate_interval)
    found, error = prometheus.run(expr, query.instant)
    if error:
        return f"{error}: {expr}"
    if not found:
        return None if (query.board, query.place) in EMPTY else f"has no data: {expr}"
    for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", query.legend):
        if any(label not in labels for labels, _ in found):
            return f"the legend names {label}, which its series do not have: {expr}"
    if (
        query.kind == "mark"
        and query.expr.endswith("* 1000")
        and any(value < MILLISECONDS for _, values in found for value in values)
    ):
        return f"marks an instant that is not in ms: {expr}"
    return None


def rules(rules, prometheus):
    for file, rule in rules:
        name = rule.get("alert") or rule["record"]
        found, error = prometheus.run(rule["expr"])
        if error:
            yield f"{file}: {name}: {error}"
        elif "record" in rule and not found:
            if name not in EMPTY:
                yield f"{file}: {name} records nothing"
        elif "alert" in rule and name not in SILENT:
            yield from alert(file, name, rule["expr"], prometheus)


def alert(file, name, expr, prometheus):
    """A silent alert must have data: it must not be silent because its selector matches no series."""
    for selector, path in selectors(parse(expr)):
        missing = any(isinstance(node, parser.Call) and node.func.name == "absent" for node in path)
        # Whether another alert fires.
        missing |= selector.name == "ALERTS"
        found, _ = prometheus.run(looked_at(selector))
        if not found and not missing:
            yield f"{file}: {name} selects {selector}, which has no data"


def looked_at(selector):
    """The selector without its negative matchers, which exclude the good state."""
    operators = [(parser.MatchOp.Equal, "="), (parser.MatchOp.Re, "=~")]
    wanted = [(matcher, sign) for matcher in selector.matchers.matchers for op, sign in operators if matcher.op == op]
    return selector.name + "{" + ", ".join(f"{matcher.name}{sign}{json.dumps(matcher.value)}" for matcher, sign in wanted) + "}"


def loaded(prometheus):
    """Checks that Prometheus can evaluate the loaded rules."""
    groups, error = prometheus.ask("rules")
    if error:
        yield f"Prometheus: {error}"
        return
    for group in groups["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                yield f"Prometheus: {rule['name']}: {rule.get('lastError') or rule['health']}"
