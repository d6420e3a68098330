"""Checks everything in dashboards: parses it, runs it against a Prometheus with the data of a small launch, and plants
mistakes to prove that the check finds them. scripts/check-dashboards starts what is needed. Exit code 1: there are faults."""

import argparse
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import boards  # noqa: E402
import days  # noqa: E402
import declared  # noqa: E402
import exceptions  # noqa: E402
import lint  # noqa: E402
import live  # noqa: E402
import promql  # noqa: E402
import rules  # noqa: E402
import runbook  # noqa: E402
import selftest  # noqa: E402
import tools  # noqa: E402

# Metrics without an exporter. An alert may ask whether another fires, or fired just now.
ALERT_LABELS = ("alertname", "alertstate", "job", "instance", "sale", "severity")
PROMETHEUS_OWN = {
    "up": declared.Metric("gauge", dict(declared.SCRAPED), "prometheus"),
    "ALERTS": declared.Metric("gauge", dict.fromkeys(ALERT_LABELS), "rules"),
}
# Ours, each of whose metrics something has to show; others export more than is of use here.
OURS = ("gateway", "loadtest", "relay")
OTHERS = ("redis", "node", "probe", "prometheus", "alertmanager")


class Check:
    """The inputs of the check: declared metrics, the gateway's program, a Prometheus."""

    def __init__(self, metrics, gateway, prometheus):
        self.metrics, self.gateway, self.prometheus = metrics, gateway, prometheus
        # The generated boards, made once.
        self.expected = {}

    def faults(self, tree):
        """Everything but the tools, on one copy of the dashboards."""
        used = set()
        all_rules, all_boards = rules.load(tree), boards.load(tree)
        yield from self.made(tree)
        yield from lint.lint(all_boards, used)
        yield from self.read(all_rules, all_boards)
        yield from rules.words(all_rules)
        yield from rules.sums(all_rules)
        yield from rules.tested(all_rules, tree)
        yield from runbook.faults(all_rules, tree, all_boards, self.gateway)
        yield from self.shown(all_rules, all_boards, used)
        yield from live.rules(self.readable(all_rules), self.prometheus)
        yield from live.boards(all_boards, self.prometheus)
        yield from live.watchers(all_boards, self.prometheus)
        for name in ("NOT_SHOWN", "NOT_NARROWED"):
            yield from (
                f"exceptions.py: {name}: {key} is not needed" for key in getattr(exceptions, name) if (name, key) not in used
            )
        there = {(query.board, query.place) for board in all_boards for query in board.queries()}
        there |= {rule.get("alert") or rule["record"] for _, rule in all_rules}
        for name in ("EMPTY", "SILENT"):
            yield from (f"exceptions.py: {name}: {key} is not there" for key in getattr(exceptions, name) if key not in there)

    def made(self, tree):
        with tempfile.TemporaryDirectory() as folder:
            if not self.expected:
                subprocess.run([sys.executable, tree / "grafana/make", folder], check=True)
                self.expected = {path.name: path.read_text() for path in pathlib.Path(folder).iterdir()}
        found = {path.name: path.read_text() for path in (tree / "grafana/dashboards").iterdir()}
        for name in sorted(self.expected.keys() | found.keys()):
            if found.get(name) != self.expected.get(name):
                yield f"{name} is not as grafana/boards makes it: scripts/check-dashboards --make"

    def read(self, all_rules, all_boards):
        """Checks every query against the declared metrics; rules declare their recorded series, in order."""
        series = declared.series(self.metrics) | {name: (name, metric) for name, metric in PROMETHEUS_OWN.items()}
        reader, alert_labels = promql.Reader(series), set(ALERT_LABELS)
        for file, rule in all_rules:
            faults, labels = reader.faults(rule["expr"])
            yield from (f"{file}: {rule.get('alert') or rule['record']} {fault}" for fault in faults)
            labels |= set(rule.get("labels", {}))
            if "record" in rule:
                series[rule["record"]] = (rule["record"], declared.Metric("gauge", dict.fromkeys(labels), "rules"))
            alert_labels |= labels
        series["ALERTS"] = ("ALERTS", declared.Metric("gauge", dict.fromkeys(alert_labels), "rules"))
        for board in all_boards:
            for query in board.queries():
                yield from (f"{board.name}: {query.place} {fault}" for fault in reader.faults(query.expr)[0])

    def readable(self, all_rules):
        for file, rule in all_rules:
            try:
                promql.parse(rule["expr"])
            except ValueError:
                continue  # reported already
            yield file, rule

    def shown(self, all_rules, all_boards, used):
        seen = set()
        for expr in [rule["expr"] for _, rule in all_rules] + [query.expr for board in all_boards for query in board.queries()]:
            try:
                seen |= promql.names(expr)
            except ValueError:
                continue  # reported already
        shown = {name for alias, (name, _) in declared.series(self.metrics).items() if alias in seen}
        for name, metric in self.metrics.items():
            if metric.owner not in OURS or name in shown:
                continue
            if name in exceptions.NOT_SHOWN:
                used.add(("NOT_SHOWN", name))
            else:
                yield f"there is {name}, and nothing shows it"


def main():
    arguments = argparse.ArgumentParser()
    for name in ("tree", "gateway", "prometheus", "gateway-list", *(f"{owner}-text" for owner in OURS + OTHERS)):
        arguments.add_argument(f"--{name}", required=True)
    for name in ("start", "end"):
        arguments.add_argument(f"--{name}", required=True, type=float)
    given = arguments.parse_args()
    tree = pathlib.Path(given.tree).resolve()
    text = {name: pathlib.Path(getattr(given, f"{name}_text")).read_text() for name in OURS + OTHERS}
    metrics = declared.gateway(pathlib.Path(given.gateway_list).read_text())
    for owner in OURS[1:] + OTHERS:
        metrics |= declared.exported(text[owner], owner)
    prometheus = live.Prometheus(given.prometheus, given.start, given.end)
    prometheus.at_its_busiest()
    check = Check(metrics, given.gateway, prometheus)

    faults = [*check.faults(tree), *live.loaded(prometheus)]
    faults += filter(None, [*tools.configuration(tree), *tools.unit_tests(tree)])
    faults += filter(None, tools.texts(*(declared.classic(text[name]) for name in OURS)))
    faults += days.faults(tree)
    if faults:
        print("\n".join(faults), file=sys.stderr)
        sys.exit(f"{len(faults)} faults in {tree.name}")
    all_boards = boards.load(tree)
    queries = sum(1 for board in all_boards for _ in board.queries())
    print(f"{len(all_boards)} boards with {queries} queries, {len(rules.load(tree))} rules, {len(metrics)} metrics: no fault")

    missed = [*selftest.run(tree, selftest.MISTAKES, check.faults)]
    missed += selftest.run(tree, selftest.TOOLS, lambda copy: filter(None, tools.configuration(copy)))
    missed += selftest.run(tree, selftest.UNIT_TESTS, lambda copy: filter(None, tools.unit_tests(copy, "ledger")))
    for day, mistakes in selftest.DAYS.items():
        missed += selftest.run(tree, mistakes, lambda copy, day=day: days.faults(copy, day))
    if missed:
        print("\n".join(missed), file=sys.stderr)
        sys.exit(f"{len(missed)} planted mistakes were not found")
    planted = [selftest.MISTAKES, selftest.TOOLS, selftest.UNIT_TESTS, *selftest.DAYS.values()]
    print(f"{sum(map(len, planted))} planted mistakes, all found")


main()
