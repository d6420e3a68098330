#!/usr/bin/env python3
"""Checks the manifests of Kubernetes, the compose file and the Containerfile without a cluster or a registry.

Usage: gateway/deploy/check.py FOLDER-OF-BINARIES SCRATCH-FOLDER     (scripts/check-deploy calls it)

Manifests: rendered by kubectl; against the schemas of Kubernetes and of the Prometheus Operator; names that must fit each other;
the time of the drain. Rules: promtool.
Units and compose file: the time of the drain. Containerfile: hadolint. Options: the gateway itself, with the variables that each of the files sets.
"""
import copy, os, re, shlex, subprocess, sys, tomllib
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

HERE = Path(__file__).resolve().parent
KUBERNETES = HERE / "kubernetes"
VERSION = "1.34"  # of the schemas
CUSTOM = yaml.safe_load((HERE / "monitoring-schemas.yaml").read_text())  # by kind: not of Kubernetes itself
AT_THE_END_S = 3  # the last report to the fleet, and the last lines of the log
faults = []


def expect(is_so, text):
    if not is_so:
        faults.append(text)


def the_only(manifests, kind, name="launchgate"):
    found = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    expect(len(found) == 1, f"expected one {kind} {name}, found {len(found)}")
    return found[0]


def check_options(gateway, what, variables):
    """The gateway reads these variables and finds all of them valid."""
    env = {"PATH": os.environ["PATH"], **variables}
    run = subprocess.run([gateway, "config"], env=env, capture_output=True, text=True)
    expect(run.returncode == 0 and not run.stderr, f"{what}: gateway config ends with {run.returncode}: {run.stderr}")
    for name, value in variables.items():
        key = name.removeprefix("LAUNCHGATE_").lower().replace("_", "-")
        if "PASSWORD" not in value:
            expect(re.search(rf"^{key} = \"?", run.stdout, re.M), f"{what}: {name} is not an option of the gateway")


def error_of(manifest):
    """What is wrong with it by its schema, or None."""
    try:
        if manifest["kind"] in CUSTOM:
            jsonschema.validate(manifest, {"$defs": CUSTOM["$defs"], **CUSTOM[manifest["kind"]]})
        else:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        return str(error)


def expect_refused(manifest, path, value):
    """A check that can't fail is worth nothing: with this value the manifest must be refused."""
    *way, last = path
    wrong = place = copy.deepcopy(manifest)
    for step in way:
        place = place[step]
    place[last] = value
    expect(error_of(wrong), f"the schema of {manifest['kind']} lets {'.'.join(map(str, path))}: {value!r} pass")


def check_schemas(manifests):
    for manifest in manifests:
        error = error_of(manifest)
        expect(not error, f"{manifest['kind']}: {error}")
    expect_refused(the_only(manifests, "Deployment"), ["spec", "template", "spec", "containers", 0, "readinessProb"], {})
    monitor, rules = the_only(manifests, "ServiceMonitor"), the_only(manifests, "PrometheusRule")
    alert = ["spec", "groups", 0, "rules", 0]
    for manifest, path, value in (
        (monitor, ["spec", "endpoint"], []),
        (monitor, ["spec", "endpoints", 0, "intervall"], "1s"),
        (monitor, ["spec", "endpoints", 0, "interval"], "1 s"),
        (monitor, ["spec", "endpoints", 0, "port"], 9090),
        (monitor, ["spec", "selector", "matchLabels"], ["launchgate"]),
        (monitor, ["apiVersion"], "monitoring.coreos.com/v1alpha1"),
        (rules, [*alert, "annotation"], {}),
        (rules, [*alert, "for"], "2 seconds"),
        (rules, [*alert, "labels", "severity"], 1),
        (rules, [*alert, "record"], "also:a:record"),
        (rules, ["spec", "groups", 0, "rules"], {}),
        (rules, ["spec", "group"], []),
    ):
        expect_refused(manifest, path, value)


def rendered(kustomization):
    """What `kubectl apply -k` would send."""
    run = subprocess.run(["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True)
    expect(run.returncode == 0, f"kubectl kustomize: {run.stderr}")
    manifests = list(yaml.safe_load_all(run.stdout))
    expect(len(manifests) == len(kustomization["resources"]), f"kubectl renders {len(manifests)} manifests")
    namespace = kustomization["namespace"]
    for manifest in manifests:
        where = manifest["metadata"]["name"] if manifest["kind"] == "Namespace" else manifest["metadata"].get("namespace")
        expect(where == namespace, f"{manifest['kind']}: in namespace {where}, expected {namespace}")
    return manifests


def check_kubernetes(gateway, scratch):
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    listed = set(kustomization["resources"])
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    expect(listed == there, f"kustomization.yaml and the folder differ: {listed ^ there}")
    manifests = rendered(kustomization)
    check_schemas(manifests)

    deployment = the_only(manifests, "Deployment")["spec"]
    pod = deployment["template"]
    labels, spec = pod["metadata"]["labels"], pod["spec"]
    (container,) = spec["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    selectors = {"Deployment": deployment["selector"]["matchLabels"]}
    for service in (m for m in manifests if m["kind"] == "Service"):
        selectors[service["metadata"]["name"]] = service["spec"]["selector"]
        for port in service["spec"]["ports"]:
            expect(port["targetPort"] in ports, f"{service['metadata']['name']}: no port {port['targetPort']}")
    selectors["PodDisruptionBudget"] = the_only(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    policy = the_only(manifests, "NetworkPolicy")["spec"]
    selectors["NetworkPolicy"] = policy["podSelector"]["matchLabels"]
    selectors |= {f"spread {n}": s["labelSelector"]["matchLabels"] for n, s in enumerate(spec["topologySpreadConstraints"])}
    for who, selector in selectors.items():
        expect(selector and selector.items() <= labels.items(), f"{who} selects {selector}, pods have {labels}")
    for rule in policy["ingress"]:
        expect(all(port["port"] in ports for port in rule["ports"]), f"NetworkPolicy: {rule['ports']}")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        expect(container[probe]["httpGet"]["port"] in ports, f"{probe}: no such port")
    (image,) = kustomization["images"]
    expect(container["image"] == f"{image['newName']}:{image['newTag']}", f"kustomization.yaml does not set the image: {container['image']}")

    values = {v["name"]: v.get("value", "redis://launchgate:PASSWORD@redis:6379") for v in container["env"]}
    drain_ms = int(values["LAUNCHGATE_DRAIN_DELAY_MS"]) + int(values["LAUNCHGATE_DRAIN_DEADLINE_MS"])
    expect(
        drain_ms / 1000 + AT_THE_END_S <= spec["terminationGracePeriodSeconds"],
        f"terminationGracePeriodSeconds: a drain takes {drain_ms / 1000 + AT_THE_END_S} s",
    )
    for name, port in (("LISTEN", "http"), ("OPS_LISTEN", "ops")):
        expect(values[f"LAUNCHGATE_{name}"].endswith(f":{ports[port]}"), f"LAUNCHGATE_{name} is not the port {port}")
    (mount,), (volume,) = container["volumeMounts"], spec["volumes"]
    files = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
    used = {value for name, value in values.items() if name.endswith("_FILE")}
    expect(files == used, f"secrets at {files}, options name {used}")
    check_options(gateway, "deployment.yaml", values)

    monitor = the_only(manifests, "ServiceMonitor")["spec"]
    services = [m for m in manifests if m["kind"] == "Service"]
    seen = [s for s in services if monitor["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()]
    expect(len(seen) == 1, f"the ServiceMonitor selects {len(seen)} services")
    expect(seen[0]["metadata"]["labels"][monitor["jobLabel"]] == "launchgate", "the job is not launchgate, as rules expect")
    names = {port["name"] for port in seen[0]["spec"]["ports"]}
    expect({endpoint["port"] for endpoint in monitor["endpoints"]} <= names, f"the ServiceMonitor's port is none of {names}")
    rules = scratch / "prometheusrule.yml"
    rules.write_text(yaml.safe_dump({"groups": the_only(manifests, "PrometheusRule")["spec"]["groups"]}))
    run = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True)
    expect(run.returncode == 0, f"prometheusrule.yaml: {run.stdout}{run.stderr}")
    return len(manifests)


def check_stop_times(gateway):
    """systemd and compose wait for a drain with the default options."""
    run = subprocess.run([gateway, "config"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    config = tomllib.loads(run.stdout)
    drain_s = (int(config["drain-delay-ms"]) + int(config["drain-deadline-ms"])) / 1000 + AT_THE_END_S
    unit = (HERE / "systemd/launchgate.service").read_text()
    compose = yaml.safe_load((HERE / "container/compose.yaml").read_text())
    times = {"TimeoutStopSec": re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)[1]}
    times["stop_grace_period"] = compose["services"]["gateway"]["stop_grace_period"].removesuffix("s")
    for what, time in times.items():
        expect(drain_s <= int(time), f"{what} is {time} s, and a drain takes {drain_s} s")


def check_compose(gateway):
    compose = yaml.safe_load((HERE / "container/compose.yaml").read_text())
    service = compose["services"]["gateway"]
    values = service["environment"]
    mounted = {f"/run/secrets/{name}" for name in service["secrets"]}
    expect(mounted == {v for n, v in values.items() if n.endswith("_FILE")}, f"compose.yaml: secrets at {mounted}")
    expect(set(service["secrets"]) == set(compose["secrets"]), "compose.yaml: secrets that are not declared")
    expect(service["read_only"] and service["cap_drop"] == ["ALL"], "compose.yaml: the gateway may write or has rights")
    host = values["LAUNCHGATE_REDIS"].removeprefix("redis://").split(":")[0]
    expect(host in compose["services"], f"compose.yaml: no service {host}")
    check_options(gateway, "compose.yaml", values)


def check_containerfile(gateway):
    """In hadolint; the user, and the options."""
    file = HERE / "container/Containerfile"
    run = subprocess.run([Path(sys.executable).parent / "hadolint", file], capture_output=True, text=True)
    expect(run.returncode == 0, f"hadolint: {run.stdout}{run.stderr}")
    text = re.sub(r"(?m)^#.*\n", "", file.read_text()).replace("\\\n", " ")
    values = dict(line.split(None, 1) for line in text.splitlines() if line)
    expect(values["FROM"] == "scratch" and not values["USER"].startswith(("0", "root")), "Containerfile: base or user")
    check_options(gateway, "Containerfile", dict(pair.split("=", 1) for pair in shlex.split(values["ENV"])))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    gateway, scratch = Path(sys.argv[1]) / "gateway", Path(sys.argv[2])
    count = check_kubernetes(gateway, scratch)
    check_compose(gateway)
    check_stop_times(gateway)
    check_containerfile(gateway)
    if faults:
        sys.exit("\n".join(faults))
    print(f"{count} manifests, compose.yaml and Containerfile are good")


main()
