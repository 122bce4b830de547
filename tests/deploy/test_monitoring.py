"""The alerts and the dashboard: by promtool, and in a Prometheus that asks two replicas of promptd."""
import json
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from promptd import DEADLINE, STOP_DEADLINE, ServerTest, clean_environment, prompt, wait_until
from tools import DEPLOY, MONITORING, ROOT, find_tool, load_yaml, run_tool

RULES = load_yaml(MONITORING / "prometheusrule.yaml")["spec"]
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
INTERVAL = "200ms"
SELECTOR = re.compile(r"\b(?:(?:promptd|process)_\w+|up\b)(?:\{[^}]*\})?")


def temporary_directory(add_cleanup):
    path = Path(tempfile.mkdtemp(prefix="promptd-test-"))
    add_cleanup(shutil.rmtree, path, ignore_errors=True)
    return path


def write_rules(directory):
    path = directory / "rules.yaml"
    path.write_text(yaml.safe_dump(RULES), encoding="utf-8")
    return path


class Alerts(unittest.TestCase):
    def test_promtool_finds_nothing(self):
        run_tool("promtool", "check", "rules", write_rules(temporary_directory(self.addCleanup)))

    def test_they_fire_when_they_should_and_only_then(self):
        directory = temporary_directory(self.addCleanup)
        write_rules(directory)
        shutil.copy(Path(__file__).with_name("alerts.yaml"), directory)
        run_tool("promtool", "test", "rules", directory / "alerts.yaml")

    def test_replicas_are_compared_within_their_job(self):
        """One Prometheus may ask several deployments, each with prompts of its own."""
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        expressions = [rule["expr"] for rule in ALERTS.values()]
        expressions += [target["expr"] for panel in PANELS.values() for target in panel["targets"]]
        expressions += re.findall(r"`([^`]*promptd_snapshot_info[^`]*)`", readme)
        counting = [e for e in expressions if "digest" in e]
        self.assertEqual(len(counting), 3)
        for expression in counting:
            self.assertIn("count by (job) (count by (job, digest) (promptd_snapshot_info", expression)

    def test_each_is_tested_and_says_what_to_do(self):
        tests = Path(__file__).with_name("alerts.yaml").read_text(encoding="utf-8")
        for name, rule in ALERTS.items():
            self.assertIn(f'alertname="{name}",alertstate="firing"', tests)
            self.assertEqual(sorted(rule["annotations"]), ["description", "summary"])
            self.assertIn(rule["labels"]["severity"], ["warning", "critical"])
            named = re.findall(r"\$labels\.(\w+)", "".join(rule["annotations"].values()))
            self.assertLessEqual(set(named), {"instance", "job"})


def scrape_config(targets):
    """That of scrape.yaml, by which a Prometheus finds these addresses as the admin ports of pods."""
    [config] = load_yaml(MONITORING / "scrape.yaml")["scrape_configs"]
    del config["kubernetes_sd_configs"]  # Debian's Prometheus knows no Kubernetes
    config["static_configs"] = [
        {"targets": [target], "labels": {"__meta_kubernetes_namespace": "prompts",
                                         "__meta_kubernetes_pod_name": name,
                                         "__meta_kubernetes_pod_phase": phase,
                                         "__meta_kubernetes_pod_container_port_name": port}}
        for number, target in enumerate(targets)
        for name, phase, port in [(pod_name(number), "Running", "http"), (pod_name(number), "Running", "admin"),
                                  (f"evicted-{number}", "Failed", "admin")]]
    return config


def pod_name(number):
    return f"promptd-{number}"


class Scraping(unittest.TestCase):
    def test_promtool_finds_nothing(self):
        config = temporary_directory(self.addCleanup) / "prometheus.yml"
        config.write_text(yaml.safe_dump({"scrape_configs": [scrape_config(["127.0.0.1:9090"])]}), encoding="utf-8")
        run_tool("promtool", "check", "config", config)

    def test_it_finds_what_the_pod_monitor_does(self):
        monitor = load_yaml(MONITORING / "podmonitor.yaml")["spec"]
        [config] = load_yaml(MONITORING / "scrape.yaml")["scrape_configs"]
        label = "".join(f"{name}={value}" for name, value in monitor["selector"]["matchLabels"].items())
        self.assertEqual(config["kubernetes_sd_configs"],
                         [{"role": "pod", "selectors": [{"role": "pod", "label": label}]}])
        [endpoint] = monitor["podMetricsEndpoints"]
        self.assertEqual((config["metrics_path"], config["scrape_interval"]), (endpoint["path"], endpoint["interval"]))
        self.assertEqual([r["regex"] for r in config["relabel_configs"] if r.get("action") == "keep"],
                         [endpoint["port"]])


class Prometheus:
    """A running Prometheus that asks some ports of loopback as if they were pods', in a directory of its own."""

    def __init__(self, add_cleanup, replicas):
        directory = temporary_directory(add_cleanup)
        write_rules(directory)
        targets = [f"127.0.0.1:{replica.port}" for replica in replicas]
        config = {"global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
                  "rule_files": ["rules.yaml"],
                  "scrape_configs": [{**scrape_config(targets), "scrape_interval": INTERVAL}]}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [find_tool("prometheus"), f"--config.file={directory}/prometheus.yml",
                 f"--storage.tsdb.path={directory}/data", "--web.listen-address=127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment())
        add_cleanup(self.stop)
        self.port = wait_until(self.find_port, "Prometheus is ready", STOP_DEADLINE)
        wait_until(lambda: len(self.query("promptd_ready == 1")) == len(replicas), "each is asked")

    def find_port(self):
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text(encoding="utf-8"))
        log = self.log.read_text(encoding="utf-8")
        found = re.search(r'msg="Listening on" address=127\.0\.0\.1:(\d+)', log)
        return "Server is ready" in log and found and found[1]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def ask(self, path, **query):
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(query)}", timeout=DEADLINE) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """What an expression yields now; one that is wrong raises."""
        return self.ask("query", query=expression)["result"]

    def alerts(self):
        return {(a["labels"]["alertname"], a["labels"].get("instance")): a["annotations"]
                for a in self.ask("alerts")["alerts"]}


FILES = {"support/refund.yaml": prompt("First")}


class HealthyReplicas(ServerTest):
    @classmethod
    def setUpClass(cls):
        find_tool("prometheus")
        cls.replicas = [cls.serve_for_class("--workers", "1", files=FILES) for _ in range(2)]
        cls.prometheus = Prometheus(cls.addClassCleanup, cls.replicas)

    def make_traffic(self):
        """An edit, answers and errors, so that each figure moves."""
        for replica in self.replicas:
            text = f"Edit {time.monotonic_ns()}"
            replica.write("support/refund.yaml", prompt(text))
            replica.wait_for_text("support/refund", text)
            self.assertEqual(replica.litellm("nothing").status, 404)

    def test_each_panel_shows_something(self):
        for title, panel in PANELS.items():
            for target in panel["targets"]:
                expression = target["expr"].replace("$job", ".+").replace("$__rate_interval", "5s")
                self.assertNotIn("$", expression)

                def is_shown(expression=expression):
                    self.make_traffic()
                    return self.prometheus.query(expression)

                wait_until(is_shown, f"{title}: {expression} yields something")

    def test_variables_find_their_values(self):
        for variable in DASHBOARD["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
                self.assertEqual({s["metric"][label] for s in self.prometheus.query(metric)},
                                 {"prompts/promptd"})

    def test_each_alert_looks_at_what_there_is(self):
        for name, rule in ALERTS.items():
            self.prometheus.query(rule["expr"])
            for selector in SELECTOR.findall(rule["expr"]):
                # A healthy server has no such answers, but others.
                selector = selector.replace('code=~"5..",endpoint!~', 'code=~"[245]..",endpoint!~')
                wait_until(lambda selector=selector: self.prometheus.query(selector),
                           f"{name}: there is {selector}")


class BrokenReplica(ServerTest):
    def test_it_is_seen(self):
        find_tool("prometheus")
        replicas = [self.serve("--workers", "1", files=FILES) for _ in range(2)]
        prometheus = Prometheus(self.addCleanup, replicas)
        wait_until(lambda: prometheus.alerts() == {}, "nothing is wrong")
        broken = replicas[0]
        broken.write("support/refund.yaml", "prompt_template: [")
        broken.wait_for_problem("refund.yaml")
        broken.write("support/more.yaml", prompt("More"))
        broken.wait_for_text("support/more", "More")
        instance = pod_name(0)
        wanted = {("PromptdReloadFailed", instance), ("PromptdFilesStale", instance),
                  ("PromptdReplicasDiffer", None)}
        wait_until(lambda: prometheus.alerts().keys() == wanted, f"just these alerts come up: {wanted}")
        for (_, instance), annotations in prometheus.alerts().items():
            self.assertIn(instance or "promptd", annotations["summary"])
        replicas[1].stop()
        wait_until(lambda: ("PromptdDown", pod_name(1)) in prometheus.alerts(), "the one that is gone is seen")


if __name__ == "__main__":
    unittest.main()
