"""The manifests: by Kubernetes' own schemas, and by a promptd that starts with the arguments of each variant on the
volumes that a kubelet and git-sync lay."""
import base64
import functools
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import jsonschema
import yaml

from promptd import (DEADLINE, ServerTest, as_somebody_else, ask, binary, clean_environment,
                     litellm_path, prompt, wait_until)
from replicas import ConfigMap, GitSync, Repository
from support import write_files
from test_configmap import TEXTS, ConfigMapTest, manifests_of, volume_of
from tools import KUBERNETES, MONITORING, ROOT, find_tool, known_options, load_yaml, run_tool

VARIANTS = ["configmaps", "git-sync"]
VERSIONS = ["1.29", "1.37"]  # of Kubernetes
EGRESS = {"configmaps": [],
          "git-sync": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                       {"ports": [{"port": 443, "protocol": "TCP"}]}]}
DRAINED = 10  # seconds within which promptd ends after --drain-delay

# https://prometheus-operator.dev/docs/api-reference/api, of which this is what the manifests use.
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
SELECTOR = {"type": "object", "required": ["matchLabels"], "additionalProperties": False,
            "properties": {"matchLabels": LABELS}}
RELABELING = {"type": "object", "additionalProperties": False, "properties": {
    "sourceLabels": {"type": "array", "items": {"type": "string"}}, "targetLabel": {"type": "string"}}}
ENDPOINT = {"type": "object", "required": ["port"], "additionalProperties": False, "properties": {
    "port": {"type": "string"}, "path": {"type": "string"}, "interval": {"pattern": r"^\d+s$"},
    "relabelings": {"type": "array", "items": RELABELING}}}
POD_MONITOR = {"type": "object", "required": ["selector", "podMetricsEndpoints"],
               "additionalProperties": False, "properties": {
                   "selector": SELECTOR,
                   "podMetricsEndpoints": {"type": "array", "minItems": 1, "items": ENDPOINT}}}


@functools.cache
def render(folder):
    """What kubectl apply -k sends, as text."""
    return run_tool("kubectl", "kustomize", KUBERNETES / folder)


def validate(path):
    """Whether what is to be applied fits the schemas of Kubernetes."""
    for version in VERSIONS:
        run_tool("kubernetes-validate", "--strict", "-k", version, path)


class Variant:
    """The objects of a variant."""

    def __init__(self, name):
        self.objects = list(yaml.safe_load_all(render(name)))

    def find(self, kind):
        return next(o for o in self.objects if o["kind"] == kind)

    @property
    def pod(self):
        return self.find("Deployment")["spec"]["template"]

    @property
    def promptd(self):
        return next(c for c in self.pod["spec"]["containers"] if c["name"] == "promptd")

    def option(self, name):
        return next(a.partition("=")[2] for a in self.promptd["args"] if a.startswith(f"--{name}="))

    def port(self, name):
        return int(self.option(name).rpartition(":")[2])


class Manifests(unittest.TestCase):
    def test_the_readme_applies_what_there_is(self):
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        applied = set(re.findall(r"kubectl apply -k ([\w-]+)", readme))
        self.assertEqual(applied, {*VARIANTS, "monitoring"})
        for path in re.findall(r"`((?:base|configmaps|git-sync|monitoring)/\S+)`", readme):
            self.assertTrue((KUBERNETES / path).is_file(), path)

    def test_they_fit_the_schemas_of_kubernetes(self):
        for name in VARIANTS:
            with self.subTest(name), tempfile.NamedTemporaryFile("w") as file:
                file.write(render(name))
                file.flush()
                validate(file.name)

    def test_the_pod_monitor_fits_its_schema(self):
        monitor = load_yaml(MONITORING / "podmonitor.yaml")
        self.assertEqual((monitor["apiVersion"], monitor["kind"]),
                         ("monitoring.coreos.com/v1", "PodMonitor"))
        jsonschema.validate(monitor["spec"], POD_MONITOR)
        rendered = {o["kind"] for o in yaml.safe_load_all(render("monitoring"))}
        self.assertEqual(rendered, {"PodMonitor", "PrometheusRule"})

    def test_options_are_promptds(self):
        for variant in map(Variant, VARIANTS):
            named = {a.partition("=")[0] for a in variant.promptd["args"] if a.startswith("--")}
            self.assertTrue(named)
            self.assertLessEqual(named, known_options())

    def test_containers_may_do_nothing_but_their_work(self):
        for variant in map(Variant, VARIANTS):
            spec = variant.pod["spec"]
            self.assertIs(spec["automountServiceAccountToken"], False)
            self.assertIs(spec["enableServiceLinks"], False)
            self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertIn("fsGroup", spec["securityContext"])
            for container in spec["containers"]:
                context = container["securityContext"]
                self.assertIs(context["allowPrivilegeEscalation"], False)
                self.assertIs(context["readOnlyRootFilesystem"], True)
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
            self.assertTrue(all(mount["readOnly"] for mount in variant.promptd["volumeMounts"]))

    def test_nobody_is_root(self):
        for variant in map(Variant, VARIANTS):
            spec = variant.pod["spec"]
            for container in spec["containers"]:
                context = {**spec["securityContext"], **container["securityContext"]}
                self.assertGreater(context["runAsUser"], 0)
                self.assertGreater(context["runAsGroup"], 0)

    def test_ports_are_those_at_which_promptd_listens(self):
        for variant in map(Variant, VARIANTS):
            self.assertEqual({p["name"]: p["containerPort"] for p in variant.promptd["ports"]},
                             {"http": variant.port("listen"), "admin": variant.port("admin-listen")})
            [service] = variant.find("Service")["spec"]["ports"]
            self.assertEqual((service["port"], service["targetPort"]), (8080, "http"))
        [endpoint] = load_yaml(MONITORING / "podmonitor.yaml")["spec"]["podMetricsEndpoints"]
        self.assertEqual(endpoint["port"], "admin")

    def test_litellm_may_ask_for_prompts_and_prometheus_for_metrics(self):
        for name in VARIANTS:
            policy = Variant(name).find("NetworkPolicy")["spec"]
            self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
            self.assertEqual(policy["ingress"], [
                {"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "litellm"}}}],
                 "ports": [{"port": "http"}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
                 "ports": [{"port": "admin"}]}])
            self.assertEqual(policy.get("egress", []), EGRESS[name])

    def test_one_of_several_is_taken_away_at_a_time(self):
        for variant in map(Variant, VARIANTS):
            deployment = variant.find("Deployment")["spec"]
            self.assertGreaterEqual(deployment["replicas"], 2)
            self.assertEqual(deployment["strategy"], {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
            self.assertEqual(variant.find("PodDisruptionBudget")["spec"]["maxUnavailable"], 1)

    def test_names_lead_to_what_they_name(self):
        for variant in map(Variant, VARIANTS):
            spec, ports = variant.pod["spec"], {p["name"] for p in variant.promptd["ports"]}
            used = [variant.promptd[f"{probe}Probe"]["httpGet"]["port"]
                    for probe in ["startup", "liveness", "readiness"]]
            used += [p["targetPort"] for p in variant.find("Service")["spec"]["ports"]]
            used += [p["port"] for rule in variant.find("NetworkPolicy")["spec"]["ingress"]
                     for p in rule["ports"]]
            used += [e["port"] for e in load_yaml(MONITORING / "podmonitor.yaml")["spec"]["podMetricsEndpoints"]]
            self.assertLessEqual(set(used), ports)
            self.assertEqual({m["name"] for c in spec["containers"] for m in c["volumeMounts"]},
                             {v["name"] for v in spec["volumes"]})
            for container in spec["containers"]:
                for mount in container["volumeMounts"]:
                    self.assertNotIn("subPath", mount)

    def test_selectors_choose_the_pods(self):
        for variant in map(Variant, VARIANTS):
            labels = variant.pod["metadata"]["labels"]
            selectors = [variant.find("Deployment")["spec"]["selector"]["matchLabels"],
                         variant.find("Service")["spec"]["selector"],
                         variant.find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
                         variant.find("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
                         load_yaml(MONITORING / "podmonitor.yaml")["spec"]["selector"]["matchLabels"],
                         *(c["labelSelector"]["matchLabels"]
                           for c in variant.pod["spec"]["topologySpreadConstraints"])]
            for selector in selectors:
                self.assertTrue(selector)
                self.assertLessEqual(selector.items(), labels.items())


class MadeConfigMaps(ConfigMapTest):
    """What promptd configmap prints, as Kubernetes' own tools see it."""

    def make_file(self, *args):
        path = self.directory / "prompts.yaml"
        path.write_text(self.print(*args), encoding="utf-8")
        return path

    def test_they_fit_the_schemas_of_kubernetes(self):
        self.put({**{f"team/{name}": text for name, text in TEXTS.items()}, "1/2.yaml": prompt("x")})
        validate(self.make_file())
        validate(self.make_file("--name", "123", "--namespace", "456"))

    def test_kubectl_reads_the_same(self):
        self.put({f"team/{name}": text for name, text in TEXTS.items()})
        self.put({f"other-{i}.yaml": prompt("y" * 4000) for i in range(300)})
        path = self.make_file()
        read = run_tool("kubectl", "--kubeconfig", os.devnull, "label", "--local", "-f", path, "read=true", "-o", "json")
        decoder, manifests = json.JSONDecoder(), []
        while read.strip():
            manifest, end = decoder.raw_decode(read.lstrip())
            read = read.lstrip()[end:]
            self.assertEqual(manifest["metadata"]["labels"].pop("read"), "true")
            manifests.append(manifest)
        self.assertGreater(len(manifests), 5)
        self.assertEqual(manifests, manifests_of(path.read_text(encoding="utf-8")))
        data = self.data_of(manifests)
        self.assertEqual({key: data[f"team__{key}"] for key in TEXTS}, TEXTS)

    def test_the_readme_shows_the_list_of_all(self):
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        lines = re.search(r"^(promptd configmap .*\n.*prompts\.yaml.*)\nkubectl apply -k configmaps$", readme, re.MULTILINE)[1]
        self.put({f"team-{i}/x.yaml": prompt("x") for i in range(8)})
        path = os.pathsep.join([str(Path(binary()).parent), os.environ["PATH"]])
        printed = subprocess.check_output(
            ["bash", "-ec", "kubectl() { :; }\n" + lines.replace("../prompts/prompts.d", str(self.files))], text=True,
            cwd=self.directory, env={**clean_environment(), "PATH": path}, stderr=subprocess.DEVNULL)
        self.assertEqual([s["configMap"]["name"] for s in volume_of(printed)["projected"]["sources"]],
                         [f"prompts-team-{i}" for i in range(8)])


class Secrets(ConfigMapTest):
    def make(self, apply):
        """Do as the README says, with this in the place of kubectl apply."""
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        lines = re.search(r"^\(umask 077 && promptd token .*\n.*\n.*litellm-promptd.*$", readme, re.MULTILINE)[0]
        path = os.pathsep.join([str(Path(binary()).parent), str(Path(find_tool("kubectl")).parent), os.environ["PATH"]])
        kubectl = f'kubectl() {{ if [ "$1" = apply ]; then {apply}; else command kubectl "$@"; fi; }}\n'
        subprocess.run(["bash", "-c", kubectl + lines], cwd=self.directory, check=False, stderr=subprocess.DEVNULL,
                       env={**clean_environment(), "PATH": path, "KUBECONFIG": os.devnull})

    def test_the_readme_gives_litellm_the_token_and_promptd_its_digest(self):
        self.make("{ cat; echo ---; } >>applied")
        secrets = {s["metadata"]["name"]: s["data"] for s in yaml.safe_load_all(
            (self.directory / "applied").read_text(encoding="utf-8")) if s}
        token = base64.b64decode(secrets["litellm-promptd"]["token"]).strip()
        tokens = base64.b64decode(secrets["promptd-tokens"]["tokens.yaml"])
        self.assertIn(hashlib.sha256(token).hexdigest().encode(), tokens)
        self.assertNotIn(token, tokens)
        self.assertFalse((self.directory / "new").exists())

    def test_the_token_is_not_left_where_the_cluster_cannot_be_reached(self):
        self.make("false")
        self.assertTrue((self.directory / "tokens.yaml").exists())
        self.assertFalse((self.directory / "new").exists())


def admin_port(server):
    """The port of --admin-listen, from the log."""
    def find():
        for line in server.log_lines():
            found = re.search(r'"metrics, status and reload have an address of their own".*:(\d+)"', line)
            if found:
                return int(found[1])
        return None
    return wait_until(find, "the line with the address of --admin-listen")


class Secret(ConfigMap):
    """A volume with the mode and the group of the manifest; the group is that of as_somebody_else()."""

    def __init__(self, directory, mode):
        super().__init__(directory)
        self.mode = mode

    def lay_payload(self, payload):
        new = super().lay_payload(payload)
        for path in payload:
            os.chmod(new / path, self.mode)
            if os.geteuid() == 0:
                os.chown(new / path, 0, 65534)
        return new

    def give_token(self, token):
        digest = hashlib.sha256(token.encode()).hexdigest()
        self.project({"tokens.yaml": f"- name: litellm\n  sha256: {digest}\n"})


class VariantTest(ServerTest):
    """A promptd with the arguments of a variant, whose paths and addresses alone are others, as a user of its own."""

    def start(self, name, **replacements):
        self.variant = Variant(name)
        self.home = Path(tempfile.mkdtemp(prefix="promptd-test-"))
        self.addCleanup(shutil.rmtree, self.home)
        self.home.chmod(0o755)
        volumes = {v["name"]: v for v in self.variant.pod["spec"]["volumes"]}
        self.secret = Secret(self.volume("tokens"), volumes["tokens"]["secret"]["defaultMode"])
        self.secret.give_token("good")
        self.make_volumes()
        somebody = as_somebody_else(self)
        arguments = [self.substitute(a, replacements) for a in self.variant.promptd["args"]]
        return self.serve(command=[*somebody["wrapper"], somebody["program"], *arguments])

    def make_volumes(self):
        raise NotImplementedError

    def volume(self, name):
        """Where promptd finds it."""
        mount = next(m for m in self.variant.promptd["volumeMounts"] if m["name"] == name)
        return self.home / mount["mountPath"].strip("/")

    def substitute(self, argument, replacements):
        option, is_option, value = argument.rpartition("=")
        value = replacements.get(option.strip("-").replace("-", "_"), value)
        value = re.sub(r"^0\.0\.0\.0:\d+$", "127.0.0.1:0", value)
        return option + is_option + (str(self.home) + value if value.startswith("/") else value)

    def probe(self, server, kind):
        """The status that the kubelet would see."""
        target = self.variant.promptd[f"{kind}Probe"]["httpGet"]
        self.assertEqual(target["port"], "admin")
        return self.admin(server, target["path"]).status

    def admin(self, server, path):
        connection = http.client.HTTPConnection("127.0.0.1", admin_port(server), timeout=DEADLINE)
        self.addCleanup(connection.close)
        return ask(connection, "GET", path)

    def get(self, server, prompt_id, token="good"):
        return server.get(litellm_path(prompt_id), {"Authorization": f"Bearer {token}"})

    def wait_for(self, server, prompt_id, text):
        def is_served():
            answer = self.get(server, prompt_id)
            return answer.status == 200 and answer.text == text
        wait_until(is_served, f"{prompt_id} is {text!r}")


class FromConfigMaps(VariantTest):
    FILES = {"support__refund.yaml": prompt("Refund"), "sales__welcome.yaml": prompt("Welcome")}

    def make_volumes(self):
        self.prompts = ConfigMap(self.volume("prompts"))
        self.prompts.project(self.FILES)

    def test_probes_prompts_and_metrics_are_answered(self):
        server = self.start("configmaps", drain_delay="0s")
        for kind in ["startup", "liveness", "readiness"]:
            self.assertEqual(self.probe(server, kind), 200)
        for endpoint in load_yaml(MONITORING / "podmonitor.yaml")["spec"]["podMetricsEndpoints"]:
            self.assertIn(b"promptd_ready 1\n", self.admin(server, endpoint["path"]).body)
        self.assertEqual(self.get(server, "support/refund").text, "Refund")
        self.assertEqual(self.get(server, "support/refund", "wrong").status, 401)
        self.assertEqual(server.get("/metrics").status, 404)

    def test_new_prompts_and_new_tokens_arrive(self):
        server = self.start("configmaps", drain_delay="0s")
        self.prompts.project({**self.FILES, "support__refund.yaml": prompt("New")})
        self.wait_for(server, "support/refund", "New")
        self.secret.give_token("newer")
        wait_until(lambda: server.messages().count("tokens are in force") == 2, "the new tokens are in force")
        self.assertEqual(self.get(server, "support/refund", token="newer").text, "New")
        self.assertEqual(self.get(server, "support/refund").status, 401)

    def test_what_promptd_makes_of_a_directory_is_mounted_and_served_as_the_same(self):
        server = self.start("configmaps", drain_delay="0s")
        source = self.home / "source"
        write_files(source, {"support/refund.yaml": prompt("Made"), "sales/welcome.yaml": prompt("Too")})
        made = list(yaml.safe_load_all(subprocess.check_output(
            [binary(), "configmap", str(source)], text=True, stderr=subprocess.DEVNULL, env=clean_environment())))
        volume = next(v for v in self.variant.pod["spec"]["volumes"] if v["name"] == "prompts")
        self.assertEqual({o["metadata"]["name"] for o in made},
                         {s["configMap"]["name"] for s in volume["projected"]["sources"]})
        self.prompts.project({key: text for o in made for key, text in o["data"].items()})
        self.wait_for(server, "support/refund", "Made")
        revision = subprocess.check_output([binary(), "revision", "--dir", str(source)], text=True,
                                           env=clean_environment()).strip()
        self.assertEqual(json.loads(self.admin(server, "/health").body)["revision"], revision)

    def test_a_new_replica_with_a_bad_file_takes_no_traffic(self):
        self.FILES = {**self.FILES, "support__refund.yaml": "prompt_template: ["}
        server = self.start("configmaps", drain_delay="0s")
        self.assertEqual(self.probe(server, "liveness"), 200)
        self.assertEqual(self.probe(server, "readiness"), 503)

    def test_it_ends_within_its_grace_time_and_serves_until_then(self):
        server = self.start("configmaps")
        delay = int(re.fullmatch(r"(\d+)s", self.variant.option("drain-delay"))[1])
        grace = self.variant.pod["spec"]["terminationGracePeriodSeconds"]
        self.assertGreater(grace, delay + DRAINED)
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        wait_until(lambda: self.probe(server, "readiness") == 503, "/ready is red")
        self.assertEqual(self.get(server, "support/refund").status, 200)
        self.assertEqual(server.wait_for_exit(grace), 0)
        self.assertGreaterEqual(time.monotonic() - began, delay)

    def test_the_readmes_lines_wait_for_a_server_to_serve_a_directory(self):
        server = self.start("configmaps", drain_delay="0s")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        lines = re.search(r"^promptd check .*\ntimeout 300 .* sleep 5; done'$", readme, re.MULTILINE)[0]
        lines = lines.replace("http://promptd:8080", f"http://127.0.0.1:{server.port}")
        path = os.pathsep.join([str(Path(binary()).parent), os.environ["PATH"]])

        def wait_for(directory, seconds):
            script = lines.replace(" prompts.d", f" {directory}")
            script = script.replace("timeout 300", f"timeout {seconds}").replace("sleep 5", "sleep 0.1")
            return subprocess.run(["bash", "-c", script], check=False, capture_output=True,
                                  env={**clean_environment(), "PATH": path, "TOKEN": "good"}).returncode

        self.assertEqual(wait_for(self.volume("prompts"), DEADLINE), 0)
        other = self.home / "other"
        write_files(other, {"p.yaml": prompt("another")})
        self.assertEqual(wait_for(other, 1), 124)
        write_files(other, {"bad.yaml": "prompt_template: ["})
        self.assertEqual(wait_for(other, 1), 1)


    def test_the_readme_compares_the_replicas(self):
        server = self.start("configmaps", drain_delay="0s")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        lines = re.search(r"^for pod in .*\n.*\ndone$", readme, re.MULTILINE)[0].replace("/9090", f"/{admin_port(server)}")
        kubectl = 'kubectl() { case $1 in get) echo pod/a; echo pod/b ;; exec) shift 5; "$@" ;; esac; }\n'
        printed = subprocess.check_output(["bash", "-c", kubectl + lines], text=True, env=clean_environment())
        revision = json.loads(self.admin(server, "/health").body)["revision"]
        self.assertEqual(printed, "".join(f'pod/{name} "revision":"{revision}"\n' for name in "ab"))


class FromGit(VariantTest):
    def make_volumes(self):
        self.repository = Repository(self.home / "source", "prompts.d")
        self.sync = GitSync(self.volume("git"), self.repository.path)

    def commit(self, text, more=()):
        files = {"support/refund.yaml": text, **{f"support/{name}.yaml": prompt(name) for name in more}}
        self.sync.sync(self.repository.commit(files, "Change"))

    def test_it_waits_for_the_first_commit_and_takes_good_ones(self):
        server = self.start("git-sync", drain_delay="0s")
        self.assertEqual((self.probe(server, "startup"), self.probe(server, "readiness")), (200, 503))
        self.commit(prompt("First"))
        wait_until(lambda: self.probe(server, "readiness") == 200, "/ready is green")
        self.wait_for(server, "support/refund", "First")
        self.commit("prompt_template: [", more=["tone"])
        wait_until(lambda: json.loads(self.admin(server, "/health").body)["problems"], "a problem")
        self.assertEqual(self.get(server, "support/refund").text, "First")
        self.assertEqual(self.get(server, "support/tone").status, 404)
        self.assertEqual(self.probe(server, "readiness"), 200)
        self.commit(prompt("Second"))
        self.wait_for(server, "support/refund", "Second")
        health = json.loads(self.admin(server, "/health").body)
        self.assertEqual(health["source_revision"], self.repository.head())

    def test_git_sync_gets_the_link_that_promptd_follows(self):
        variant = Variant("git-sync")
        container = next(c for c in variant.pod["spec"]["containers"] if c["name"] == "git-sync")
        options = dict(a.lstrip("-").split("=") for a in container["args"])
        link = f"{options['root']}/{options['link']}/"
        self.assertTrue(variant.promptd["args"][-1].startswith(link))
        self.assertEqual(options["max-failures"], "-1")


if __name__ == "__main__":
    unittest.main()
