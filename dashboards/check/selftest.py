"""Plants mistakes, each in a copy of the dashboards, and reports those that the check does not find."""

import json
import re
import shutil
import tempfile
from pathlib import Path


def board(name, change):
    """A mistake in a board's JSON."""

    def plant(tree):
        path = tree / f"grafana/dashboards/{name}.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return plant


def panel(name, title, change):
    """A mistake in a panel."""
    return board(name, lambda tree: change(next(panel for panel in tree["panels"] if panel.get("title") == title)))


def expr(name, title, old, new):
    """A mistake in a panel's first query."""

    def change(panel):
        query = panel["targets"][0]["expr"]
        assert old in query, f"{title} does not have {old!r}: {query}"
        panel["targets"][0]["expr"] = query.replace(old, new)

    return panel(name, title, change)


def text(path, old, new):
    """A mistake in a file's text; the first match is replaced."""

    def plant(tree):
        content = (tree / path).read_text()
        assert re.search(old, content, re.S), f"{path} does not have {old!r}"
        (tree / path).write_text(re.sub(old, new, content, count=1, flags=re.S))

    return plant


def everywhere(path, old, new):
    """A mistake at each place of a text."""

    def plant(tree):
        content = (tree / path).read_text()
        assert old in content, f"{path} does not have {old!r}"
        (tree / path).write_text(content.replace(old, new))

    return plant


def without(name, title):
    """A removed panel."""

    def change(tree):
        kept = [panel for panel in tree["panels"] if panel.get("title") != title]
        assert len(kept) < len(tree["panels"]), f"{name} has no panel {title}"
        tree["panels"] = kept

    return board(name, change)


def variable(name, variable, **members):
    return board(name, lambda tree: next(v for v in tree["templating"]["list"] if v["name"] == variable).update(members))


LEDGER, REDIS = "prometheus/rules/ledger.yml", "prometheus/rules/redis.yml"
SALES, ANSWERS = "runbook/sales.md", "runbook/answers.md"
RECORDING, ALERTMANAGER = "prometheus/rules/recording.yml", "prometheus/alertmanager.yml"

# A mistake, its change, and the expected text of the fault.
MISTAKES = [
    (
        "a metric that is not there",
        expr("gateway", "Threads", "process_threads", "process_thread"),
        "launchgate_process_thread, which is not declared",
    ),
    ("a label that is not there", expr("gateway", "Shed", "by (reason)", "by (why)"), "groups by why"),
    ("a matcher of a label that is not there", expr("gateway", "Shed", "{job", '{policy="x", job'), "matches the label policy"),
    ("a value that never comes", expr("launch", "Won", '"won"', '"sold"'), "asks for outcome='sold'"),
    (
        "a ledger's gauge summed over gateways",
        expr("launch", "Held", "max(", "sum("),
        "takes launchgate_reservations other than by max or min",
    ),
    (
        "a ledger's gauge of each gateway",
        expr("launch", "Held", "max(", "("),
        "takes launchgate_reservations other than by max or min",
    ),
    ("a counter without rate", expr("gateway", "Shed", "rate(launchgate", "(launchgate"), "is not valid PromQL"),
    (
        "a counter as it is",
        expr(
            "launch",
            "Taps",
            'sum(rate(launchgate_taps_total{job=~"$job", instance=~"$instance", sale=~"$sale"}[$__rate_interval]))',
            'sum(launchgate_taps_total{job=~"$job", instance=~"$instance", sale=~"$sale"})',
        ),
        "takes the counter launchgate_taps_total without rate",
    ),
    (
        "the rate of a gauge",
        expr("launch", "Changes of the ledger", "deriv(", "rate("),
        "takes rate of launchgate_ledger_sequence, which is a gauge",
    ),
    ("a fixed interval", expr("gateway", "Shed", "$__rate_interval", "1m"), "target-rate-interval-rule"),
    ("a query of all jobs", expr("gateway", "Shed", 'job=~"$job", ', ""), "target-job-rule"),
    ("a query of all instances", expr("gateway", "Shed", ', instance=~"$instance"', ""), "target-instance-rule"),
    ("a quantile of what is no histogram", expr("gateway", "Durations", "sum by (le) ", "sum"), "has no buckets"),
    ("no unit", panel("gateway", "Memory", lambda p: p["fieldConfig"]["defaults"].pop("unit")), "panel-units-rule"),
    (
        "a unit that Grafana does not have",
        panel("gateway", "Memory", lambda p: p["fieldConfig"]["defaults"].update(unit="octets")),
        "panel-units-rule",
    ),
    ("no description", panel("redis", "Keys", lambda p: p.pop("description")), "panel-title-description-rule"),
    ("no query", panel("redis", "Keys", lambda p: p.update(targets=[])), "panel-no-targets-rule"),
    (
        "a fixed data source",
        panel("redis", "Keys", lambda p: p.update(datasource={"type": "prometheus", "uid": "P1"})),
        "panel-datasource-rule",
    ),
    (
        "a fixed data source of a query",
        panel("redis", "Keys", lambda p: p["targets"][0].pop("datasource")),
        "panel-datasource-rule",
    ),
    (
        "an old value as the current one",
        panel("launch", "Phase", lambda p: p["targets"][0].update(instant=False)),
        "shows an old value",
    ),
    ("two panels with one number", panel("redis", "Keys", lambda p: p.update(id=2)), "panels without a number of their own"),
    ("a panel beyond the columns", panel("redis", "Keys", lambda p: p["gridPos"].update(x=20)), "does not fit the columns"),
    ("a panel over another", panel("redis", "Keys", lambda p: p["gridPos"].update(x=0)), "lies over another panel"),
    ("a board that can be edited", board("launch", lambda tree: tree.update(editable=True)), "uneditable-dashboard"),
    ("an old schema", board("launch", lambda tree: tree.update(schemaVersion=36)), "a schema older than"),
    ("two boards with one uid", board("launch", lambda tree: tree.update(uid="launchgate-redis")), "is there twice"),
    ("no marks", board("launch", lambda tree: tree["annotations"].update(list=[])), "marks no moments"),
    ("no variable of the data source", variable("launch", "datasource", query="loki"), "template-datasource-rule"),
    ("one instance only", variable("launch", "instance", multi=False), "template-instance-rule"),
    ("a variable that is never refreshed", variable("launch", "job", refresh=1), "template-on-time-change-reload-rule"),
    (
        "a variable without values",
        variable("launch", "sale", query="label_values(launchgate_sale, sale)"),
        "variable sale: has no values",
    ),
    ("a panel without data", expr("gateway", "Memory", "bytes{", 'bytes{instance="nobody", '), "Memory: has no data"),
    (
        "a watcher that is missing and shows nothing",
        expr("launch", "Watched by", " or vector(0)", ""),
        "where nothing is configured",
    ),
    ("a query that fails", expr("gateway", "Descriptors", "/", "/ on (job)"), "many-to-many matching"),
    (
        "a legend of a label that is not there",
        panel("gateway", "Memory", lambda p: p["targets"][0].update(legendFormat="{{host}}")),
        "the legend names host",
    ),
    (
        "a mark in seconds",
        board(
            "launch",
            lambda tree: tree["annotations"]["list"][0].update(
                expr=tree["annotations"]["list"][0]["expr"].replace("* 1000", "* 1 * 1000 / 1000 * 0.001 * 1000")
            ),
        ),
        "not in ms",
    ),
    ("a metric that nothing uses", without("gateway", "Threads"), "launchgate_process_threads, and nothing shows it"),
    (
        "a board that differs from its source",
        panel("redis", "Keys", lambda p: p.update(description="Changed by hand.")),
        "is not as grafana/boards makes it",
    ),
    (
        "a rule with a metric that is not there",
        text(LEDGER, "launchgate_ledger_fault", "launchgate_ledger_faults"),
        "launchgate_ledger_faults, which is not declared",
    ),
    (
        "a rule that sums a ledger's gauge",
        text(LEDGER, r"max( by \(job, sale\) \(launchgate_ledger_oversold)", r"sum\1"),
        "takes launchgate_ledger_oversold_units other than by max or min",
    ),
    (
        "an alert without data",
        text(REDIS, "redis_aof_enabled == 0", 'redis_aof_enabled{job="reddis"} == 0'),
        "which has no data",
    ),
    (
        "an alert that sums over all outcomes",
        text("prometheus/rules/gateways.yml", "launchgate:requests:rate1m", "rate(launchgate_requests_total[1m])"),
        "LaunchgateProxyUnlisted sums over all outcomes",
    ),
    (
        "a record of nothing",
        text(RECORDING, r"rate1m\[5m:1m\]", 'rate1m{job="x"}[5m:1m]'),
        "records nothing",
    ),
    ("an alert without a severity", text(LEDGER, r"labels: \{severity: critical\}", "labels: {}"), "has no severity"),
    ("an alert without a summary", text(LEDGER, r"          summary: [^\n]*\n", ""), "has no summary"),
    ("an alert without its link", text(LEDGER, "#launchgateledgerdrift", "#drift"), "does not link to its paragraph"),
    (
        "an alert without a paragraph",
        text(SALES, "### LaunchgateOversold", "### LaunchgateSold"),
        "LaunchgateOversold has no paragraph",
    ),
    (
        "a paragraph without an alert",
        text(SALES, "### LaunchgateOversold", "### LaunchgateSold"),
        "LaunchgateSold is not an alert",
    ),
    (
        "a paragraph without a line **Not:**",
        text(SALES, r"\*\*Not:\*\* never correct", "Never correct"),
        "LaunchgateLedgerDrift has no line **Not:**",
    ),
    (
        "a first action that stops a healthy sale",
        text(ANSWERS, r"\*\*Do:\*\* start more gateways", "**Do:** pause the sale"),
        "LaunchgateSlowNow stops a sale",
    ),
    (
        "a list that differs from the paragraphs",
        text("RUNBOOK.md", "renew the certificate", "replace the certificate"),
        "does not list the paragraphs",
    ),
    ("a panel that the runbook invents", text(SALES, '"Holds due"', '"Due holds"'), 'Launch has no panel "Due holds"'),
    ("a command that is not there", text("RUNBOOK.md", "gateway journal", "gateway diary"), "there is no command `gateway diary"),
    ("a flag that is not there", text(SALES, "--was N", "--from N"), "there is no --from"),
    (
        "an option that is not there",
        text(SALES, "`--audit-interval-s`", "`--audit-seconds`"),
        "there is no option `--audit-seconds`",
    ),
    (
        "an alert without a test in which it fires",
        text("prometheus/tests/ledger.yml", r'- expr: ALERTS\{alertname="LaunchgateOversold"\}', "- expr: ALERTS"),
        "in which LaunchgateOversold fires",
    ),
    (
        "an alert without a test in which it is silent",
        text("prometheus/tests/ledger.yml", r"      - \{expr: 'ALERTS\{alertname=\"LaunchgateOversold[^\n]*\n", ""),
        "in which LaunchgateOversold is silent",
    ),
]

# Only the tools find these.
TOOLS = [
    (
        "a configuration that Prometheus rejects",
        text("prometheus/prometheus.yml", "scrape_timeout: 1s", "scrape_timeout: 1m"),
        "promtool check config",
    ),
    ("a rule that Prometheus rejects", text(LEDGER, "humanizeDuration", "humaniseDuration"), "promtool check"),
    (
        "an Alertmanager without a receiver",
        text(ALERTMANAGER, "- name: pager", "- name: beeper"),
        "amtool check-config",
    ),
    (
        "a critical alert that pages no operator",
        text(ALERTMANAGER, "receiver: pager", "receiver: chat"),
        "amtool config routes",
    ),
    (
        "a dead-man's switch that pages an operator",
        text(ALERTMANAGER, "receiver: watchdog", "receiver: pager"),
        "amtool config routes",
    ),
    (
        "a probe that blackbox_exporter rejects",
        text("prometheus/blackbox.yml", "valid_status_codes", "valid_status"),
        "prometheus-blackbox-exporter --config.check",
    ),
]
# Only a unit test of the ledger's alerts finds these.
UNIT_TESTS = [
    ("an alert that fires too late", text(LEDGER, r"oversold_units\) > 0", "oversold_units) > 5"), "promtool test rules"),
    (
        "a draw that counts as a clock that is behind",
        text(LEDGER, r'          unless on \(job, sale\)\n[^\n]*launchgate_draw_stage\{stage!="allocated"\}\) == 1\n', ""),
        "promtool test rules",
    ),
]

# Only what fires together on a day finds these: each with the day.
DAYS = {
    "healthy launch": [
        (
            "shed taps of a sale that sells as failures",
            everywhere(RECORDING, "100 * sum by", "0 * sum by"),
            "LaunchgateFailingNow (critical) fires, and should not",
        ),
        (
            "a missed scrape as a dead gateway",
            text("prometheus/rules/gateways.yml", "        for: 2s\n", ""),
            "LaunchgateGatewayGone (critical) fires, and should not",
        ),
    ],
    "redis failover": [
        (
            "an inhibition that is missing",
            text(ALERTMANAGER, r"LaunchgateNoGatewayReady\|", ""),
            "LaunchgateNoGatewayReady (critical) is heard, and should not",
        )
    ],
    "paused at the opening": [
        (
            "a pause that is reported late",
            text(LEDGER, r"(alert: LaunchgateSalePaused.*?)        labels:", r"\1        for: 1m\n        labels:"),
            "LaunchgateSalePaused (critical): expected that it fires, and it does not",
        )
    ],
}


def run(tree, mistakes, check):
    """Plants each mistake in a copy of its own; `check(copy)` returns the faults. Yields the mistakes that were not found."""
    for what, plant, words in mistakes:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "dashboards"
            shutil.copytree(tree, copy, ignore=shutil.ignore_patterns("live", "node_modules", "__pycache__"))
            plant(copy)
            found = list(check(copy))
            if not any(words in fault for fault in found):
                yield f"self-test: {what} is not found (expected: {words}); found: {found[:5] or 'nothing'}"
