"""The rules of alerts: texts, a paragraph in the runbook, a test that fires and one that is silent.
Also checks that panels and commands named in the runbook exist."""

import functools
import re
import subprocess

import yaml

SEVERITIES = {"critical", "warning"}
LINES = ("**Buyers", "**Look:**", "**Do:**", "**Not:**")
BOARDS = {"Launch": "launch", "Gateway": "gateway", "Redis": "redis", "Load test": "loadtest", "Relay": "relay"}


def read(path):
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def load(tree):
    """All rules with their files; recording rules first, because others use their series."""
    found = []
    for path in sorted((tree / "prometheus/rules").glob("*.yml")):
        for group in read(path)["groups"]:
            found += [(path.name, rule) for rule in group["rules"]]
    return sorted(found, key=lambda each: "record" not in each[1])


def words(rules):
    for file, rule in rules:
        if "alert" not in rule:
            continue
        name, notes = rule["alert"], rule.get("annotations", {})
        if not re.fullmatch(r"Launchgate[A-Z]\w+", name):
            yield f"{file}: {name} is not a valid alert name (LaunchgateSomething)"
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            yield f"{file}: {name} has no severity"
        for note in ("summary", "description"):
            if not notes.get(note):
                yield f"{file}: {name} has no {note}"
        if notes.get("runbook_url") != f"{{{{ $externalLabels.runbooks }}}}dashboards/RUNBOOK.md#{name.lower()}":
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


def runbook(rules, tree, boards, gateway):
    text = (tree / "RUNBOOK.md").read_text()
    paragraphs = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.M | re.S))
    alerts = {rule["alert"] for _, rule in rules if "alert" in rule}
    yield from (f"RUNBOOK.md: {name} has no paragraph" for name in sorted(alerts - set(paragraphs)))
    yield from (f"RUNBOOK.md: {name} is not an alert" for name in sorted(set(paragraphs) - alerts))
    for name, paragraph in paragraphs.items():
        for line in LINES:
            if line not in paragraph:
                yield f"RUNBOOK.md: {name} has no line {line}"
    yield from (
        f"RUNBOOK.md: {name} is named, and is not an alert"
        for name in sorted(set(re.findall(r"\bLaunchgate[A-Z]\w+", text)) - alerts)
    )
    titles = {board.name: {panel.get("title") for panel in board.tree["panels"]} for board in boards}
    flat = " ".join(text.split())
    for board, quoted in re.findall(r'\*([A-Z][a-z ]+)\*, ((?:"[^"]+"(?:, | and )?)+)', flat):
        for title in re.findall(r'"([^"]+)"', quoted):
            if title not in titles.get(BOARDS.get(board, ""), ()):
                yield f'RUNBOOK.md: {board} has no panel "{title}"'
    yield from (f"RUNBOOK.md: {fault}" for fault in commands(text, gateway))


@functools.cache
def help_of(gateway, *command):
    """The help text of a command; None: no such command."""
    run = subprocess.run([gateway, *command, "--help"], capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None


def commands(text, gateway):
    """Compares every command and every option of `serve` in the runbook with the help of the program."""
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    found = set(re.findall(r"`(gateway [^`]+)`", prose)) | set(re.findall(r"^(gateway [^#\n]+)", blocks, re.M))
    for command in sorted(found):
        path = re.match(r"gateway((?: [a-z]+)*)", command).group(1).split()
        # The last words in small letters may be arguments already.
        while path and help_of(gateway, *path) is None:
            path.pop()
        if not path:
            yield f"there is no command `{command}`"
            continue
        for flag in re.findall(r"(--[a-z-]+)", command):
            if flag not in help_of(gateway, *path):
                yield f"`{command}`: there is no {flag}"
    for flag in sorted(set(re.findall(r"`(--[a-z-]+)`", text)) - {"--reason"}):
        if flag not in help_of(gateway, "serve"):
            yield f"there is no option `{flag}`"
