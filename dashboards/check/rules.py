"""The rules of alerts: texts, the link to the runbook, a test that fires and one that is silent."""

import re

import runbook
import yaml

SEVERITIES = {"critical", "warning"}
# Always fires, and goes to no person: it has the severity `none`.
DEAD_MANS_SWITCH = "LaunchgateWatchdog"


def read(path):
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def load(tree):
    """All rules with their files; recording rules first, because others use their series."""
    found = []
    for path in sorted((tree / "prometheus/rules").glob("*.yml")):
        for group in read(path)["groups"]:
            found += [(path.name, rule) for rule in group["rules"]]
    return sorted(found, key=lambda each: "record" not in each[1])


def sums(rules):
    """An alert that sums over all outcomes would take too long where there are many gateways and sales: it is recorded."""
    for file, rule in rules:
        found = re.findall(r"launchgate_(?:requests|taps)_total(?![^{\[]*\{[^}]*\b(?:route|outcome)=)", rule["expr"])
        if "alert" in rule and found:
            yield f"{file}: {rule['alert']} sums over all outcomes: record it"


def words(rules):
    for file, rule in rules:
        if "alert" not in rule:
            continue
        name, notes = rule["alert"], rule.get("annotations", {})
        if not re.fullmatch(r"Launchgate[A-Z]\w+", name):
            yield f"{file}: {name} is not a valid alert name (LaunchgateSomething)"
        if rule.get("labels", {}).get("severity") not in ({"none"} if name == DEAD_MANS_SWITCH else SEVERITIES):
            yield f"{file}: {name} has no severity"
        for note in ("summary", "description"):
            if not notes.get(note):
                yield f"{file}: {name} has no {note}"
        if notes.get("runbook_url") != runbook.link(file, name):
            yield f"{file}: {name} does not link to its paragraph"


def tested(rules, tree):
    fire, silent = set(), set()
    for path in (tree / "prometheus/tests").glob("*.yml"):
        for test in read(path)["tests"]:
            for case in test.get("promql_expr_test", []):
                for name in re.findall(r'ALERTS\{[^}]*alertname=~?"([^"]+)"', case["expr"]):
                    (fire if case["exp_samples"] else silent).add(name)
            for case in test.get("alert_rule_test", []):
                (fire if case["exp_alerts"] else silent).add(case["alertname"])
    for name in sorted({rule["alert"] for _, rule in rules if "alert" in rule}):
        for what, names in (("fires", fire), ("is silent", silent)):
            if not any(re.fullmatch(pattern, name) for pattern in names):
                yield f"tests: there is none in which {name} {what}"
