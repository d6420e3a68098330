"""The runbook: a page for each file of rules or two, with a paragraph for each alert, and RUNBOOK.md, which lists them all.

`python runbook.py TREE` makes the list in RUNBOOK.md again. The check: each alert has its paragraph in its page, each paragraph
its alert, and each panel and command named there exists."""

import functools
import re
import subprocess
import sys
from pathlib import Path

# The page of each file of rules.
PAGES = {
    "ledger.yml": "sales",
    "requests.yml": "answers",
    "slo.yml": "answers",
    "gateways.yml": "gateways",
    "redis.yml": "redis",
    "relay.yml": "others",
    "hosts.yml": "others",
    "watch.yml": "others",
}
LINES = ("**First:**", "**Buyers", "**Look:**", "**Do:**", "**Not:**")
# What may stop a sale: its ledger is in doubt. Nothing else may, load least of all.
STOPPING = {"LaunchgateLedgerDrift", "LaunchgateOversold", "LaunchgateRedisEvicting"}
BOARDS = {"Launch": "launch", "Gateway": "gateway", "Redis": "redis", "Load test": "loadtest", "Relay": "relay"}
# RUNBOOK.md from here on is made of the pages.
LIST = "<!-- made by scripts/check-dashboards --make of the pages in runbook/ -->\n"


def link(file, alert):
    """The link of an alert: to the runbook that Prometheus serves, or to its page where the external label says."""
    page = f"dashboards/runbook/{PAGES[file]}.md"
    return "{{ with $externalLabels.runbooks }}{{ . }}" + page + "{{ else }}{{ $externalURL }}/user/{{ end }}#" + alert.lower()


def pages(tree):
    """The text of each page by its name, in the order of PAGES."""
    return {name: (tree / f"runbook/{name}.md").read_text() for name in dict.fromkeys(PAGES.values())}


def paragraphs(text):
    return dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.M | re.S))


def made(tree):
    """RUNBOOK.md as it should be: its own text, then each alert with its first action."""
    own = (tree / "RUNBOOK.md").read_text().partition(LIST)[0]
    lists = []
    for name, text in pages(tree).items():
        title = re.match(r"# Runbook: (.*)", text).group(1)
        rows = [f"## {title[0].upper()}{title[1:]}", "", "| alert | first |", "| --- | --- |"]
        for alert, paragraph in paragraphs(text).items():
            first = re.search(r"\*\*First:\*\* (.*?)(?=\n\n|\Z)", paragraph, re.S)
            action = " ".join(first.group(1).split()) if first else ""
            rows.append(f"| [{alert}](runbook/{name}.md#{alert.lower()}) | {action} |")
        lists.append("\n".join(rows) + "\n")
    return own + LIST + "\n" + "\n".join(lists)


def faults(rules, tree, boards, gateway):
    if (tree / "RUNBOOK.md").read_text() != made(tree):
        yield "RUNBOOK.md does not list the paragraphs as they are: scripts/check-dashboards --make"
    texts = pages(tree)
    alerts = {rule["alert"]: PAGES[file] for file, rule in rules if "alert" in rule}
    found = {name: paragraphs(text) for name, text in texts.items()}
    for alert, page in sorted(alerts.items()):
        if alert not in found[page]:
            yield f"runbook/{page}.md: {alert} has no paragraph"
    for page, each in found.items():
        yield from (f"runbook/{page}.md: {name} is not an alert" for name in each if alerts.get(name) != page)
        for name, paragraph in each.items():
            yield from (f"runbook/{page}.md: {name} has no line {line}" for line in LINES if line not in paragraph)
            first = paragraph.partition("**First:**")[2].partition("**Buyers")[0]
            action = first + paragraph.partition("**Do:**")[2].partition("**Not:**")[0]
            if name not in STOPPING and re.search(r"\b(pause|close|freeze)\b", action):
                yield f"runbook/{page}.md: {name} stops a sale that may be healthy"
    text = "\n".join([(tree / "RUNBOOK.md").read_text(), *texts.values()])
    named = set(re.findall(r"\bLaunchgate[A-Z]\w+", text))
    yield from (f"runbook: {name} is named, and is not an alert" for name in sorted(named - set(alerts)))
    titles = {board.name: {panel.get("title") for panel in board.tree["panels"]} for board in boards}
    flat = " ".join(text.split())
    for board, quoted in re.findall(r'\*([A-Z][a-z ]+)\*, ((?:"[^"]+"(?:, | and )?)+)', flat):
        for title in re.findall(r'"([^"]+)"', quoted):
            if title not in titles.get(BOARDS.get(board, ""), ()):
                yield f'runbook: {board} has no panel "{title}"'
    yield from (f"runbook: {fault}" for fault in commands(text, gateway))


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
        path = re.match(r"gateway((?: [a-z]+(?:-[a-z]+)*)*)", command).group(1).split()
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


if __name__ == "__main__":
    tree = Path(sys.argv[1])
    (tree / "RUNBOOK.md").write_text(made(tree))
