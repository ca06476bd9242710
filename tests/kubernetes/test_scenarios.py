"""Runs on a real cluster, by the installed command. The numbers are those of the list in docs/kubernetes.md."""

import copy
import json
import os
import signal

import pytest
import yaml

from tests.kubernetes.workspace import PATIENCE_S

PIPELINES = """
    import os, time
    from orchestrator import AssetMaterialization, IOManager, Mode, Pod, RetryPolicy, io_manager, pipeline, step

    def note(line):
        with open("ledger", "a") as ledger:
            ledger.write(f"{line}\\n")

    @step
    def numbers(context) -> list:
        note("numbers")
        context.log.info("in a pod")
        print("printed in a pod")
        return [1, 2, 3]

    @step
    def total(context, values: list) -> int:
        note("total")
        context.log_asset(AssetMaterialization("totals", metadata={"sum": sum(values)}))
        return sum(values)

    @step(retry=RetryPolicy(max_retries=0, infrastructure_retries=2))
    def waits():
        note("waits")
        while not os.path.exists("go"):
            time.sleep(0.1)

    @step
    def talks():
        print("first", flush=True)
        while not os.path.exists("go"):
            time.sleep(0.1)
        print("last")

    @pipeline
    def is_loud():
        talks()

    @step(pod=Pod(memory="64Mi"))
    def greedy():
        kept = []
        while True:
            kept.append(bytearray(8 << 20))

    @step(pod=Pod(image="local/absent:9"))
    def pulls():
        pass

    @step(pod=Pod(cpu="100"), retry=RetryPolicy(max_retries=0, infrastructure_retries=0))
    def heavy():
        pass

    @step
    def tears_down():
        try:
            note("began")
            time.sleep(300)
        finally:
            note("torn down")

    @pipeline
    def adds_up():
        total(numbers())

    @pipeline
    def one_waits():
        waits()

    @pipeline
    def eats():
        greedy()

    @pipeline
    def has_no_image():
        pulls()

    @pipeline
    def wants_much():
        heavy()

    @step(timeout=2)
    def dawdles() -> None:
        time.sleep(300)

    @step(timeout=2, retry=RetryPolicy(max_retries=0, infrastructure_retries=0))
    def dawdles_once() -> None:
        time.sleep(300)

    @pipeline
    def is_late_once():
        dawdles_once()

    @pipeline
    def is_late():
        dawdles()

    @pipeline
    def is_stopped():
        tears_down()
"""


def test_1_a_run_gives_in_pods_what_it_gives_here(work):
    code, printed = work.finish("run", "adds_up")
    assert code == 0, printed
    page = json.loads(work("runs", "show", "last", "--json").out)
    assert page["status"] == "SUCCESS"
    assert [asset["metadata"] for asset in page["assets"]] == [{"sum": 6}]
    assert work.bench.ledger() == ["numbers", "total"]
    logs = work("runs", "logs", "last").out
    assert "printed in a pod" in logs
    assert "in a pod" in logs
    for kind in ("jobs", "secrets"):
        work.until(lambda kind=kind: work.cluster.items(kind, work.namespace) == [], f"its {kind} to be deleted")


def test_2_a_run_whose_owner_is_killed_is_resumed_and_nothing_is_done_twice(work):
    owner = work.start("run", "one_waits")
    work.until(lambda: work.bench.ledger() == ["waits"], "the step to begin")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    (work.bench.path / "go").touch()
    code, printed = work.finish("runs", "resume", "last")
    assert code == 0, printed
    assert work.bench.ledger() == ["waits"]


def test_3_a_pod_that_is_deleted_is_lost_and_costs_no_retry_of_the_steps_own(work):
    owner = work.start("run", "one_waits")
    work.until(lambda: work.bench.ledger() == ["waits"], "the step to begin")
    work.until(work.running, "the pod's phase to say so")
    (pod,) = work.running()
    work.cluster.kubectl("delete", "pod", "-n", work.namespace, pod["metadata"]["name"], "--wait=false")
    work.until(lambda: work.bench.ledger() == ["waits", "waits"], "a second attempt")
    (work.bench.path / "go").touch()
    assert owner.wait(PATIENCE_S) == 0, (work.bench.path / "output").read_text()
    text = work("runs", "events", "last").out
    assert "its pod was deleted" in text


def test_4_a_step_that_takes_too_much_memory_says_so_with_its_limit(work):
    page = work.run("eats")
    assert page["status"] == "FAILURE"
    (step,) = page["steps"]
    assert "out of memory (limit 64Mi)" in json.dumps(step)


def test_5_an_image_that_does_not_exist_fails_and_is_named(work):
    page = work.run("has_no_image")
    assert page["status"] == "FAILURE"
    assert "local/absent:9" in json.dumps(page["steps"])


def test_5_what_no_node_can_give_is_lost_after_the_start_timeout_with_the_schedulers_words(work):
    work.write(start_timeout="8s")
    page = work.run("wants_much")
    assert page["status"] == "FAILURE"
    assert "Insufficient cpu" in json.dumps(page["steps"])
    waited = [event["reason"] for event in work.bench.events() if event["event"] == "attempt_waiting"]
    assert any("Insufficient cpu" in reason for reason in waited)


def test_8_a_step_that_takes_longer_than_its_timeout_is_ended_in_time(work):
    page = work.run("is_late")
    assert page["status"] == "FAILURE"
    assert "did not finish within its timeout of 2 seconds" in json.dumps(page["steps"])


def test_8_canceling_lets_a_step_tear_down_and_leaves_no_job(work):
    owner = work.start("run", "is_stopped")
    work.until(lambda: work.bench.ledger() == ["began"], "the step to begin")
    assert work("runs", "cancel", "last").code == 0
    assert owner.wait(PATIENCE_S) == 130, (work.bench.path / "output").read_text()
    assert work.bench.ledger() == ["began", "torn", "down"]
    work.until(lambda: work.cluster.items("jobs", work.namespace) == [], "its Jobs to be deleted")


def test_11_what_pods_could_not_read_is_refused_before_anything_is_created(work):
    work.write(storage=None)
    done = work("run", "adds_up")
    assert done.code == 3, done
    assert "on one machine (filesystem_io_manager)" in done.err
    assert "runs steps on different machines" in done.err
    assert work.cluster.items("jobs", work.namespace) == []


def test_13_check_has_one_right_line_for_what_is_wrong(work, monkeypatch):
    done = work("kubernetes", "check")
    assert done.code == 0, done
    assert "all that is needed is allowed" in done.out
    config = (work.bench.path / ".orchestrator.yaml").read_text()
    work.bench.settings(
        config.replace(f"namespace: {work.namespace}", "namespace: default").replace("image: local/sh:1", "")
    )
    done = work("kubernetes", "check")
    assert done.code == 1
    assert "Location 'main' has no image" in done.out
    dead = work.bench.path / "dead"
    dead.write_text(work.cluster.kubeconfig.read_text().replace("https://127.0.0.1:", "https://127.0.0.1:1"))
    done = work.bench("kubernetes", "check", KUBECONFIG=str(dead))
    assert done.code == 1
    assert "does not answer" in done.out


def test_jobs_are_listed_and_orphans_are_deleted_on_request(work):
    owner = work.start("run", "one_waits")
    work.until(lambda: work.bench.ledger() == ["waits"], "the step to begin")
    (job,) = json.loads(work("kubernetes", "jobs", "--json").out)
    assert (job["step"], job["state"], job["is_orphan"]) == ("waits", "active", False)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    os.rename(work.bench.state / "runs" / job["run_id"], work.bench.path / "moved")
    (job,) = json.loads(work("kubernetes", "jobs", "--json").out)
    assert job["is_orphan"]
    assert work("kubernetes", "jobs", "--delete-orphans", "--yes").code == 0
    work.until(lambda: work.cluster.items("jobs", work.namespace) == [], "the Job to be gone")


def begun(work):
    """A run whose only step waits in its pod; its Job."""
    owner = work.start("run", "one_waits")
    work.until(lambda: work.bench.ledger() == ["waits"], "the step to begin")
    (job,) = work.cluster.items("jobs", work.namespace)
    return owner, job


def test_9_a_second_pod_of_a_job_ends_without_running_user_code(work):
    owner, job = begun(work)
    second = copy.deepcopy(job["spec"]["template"])
    second |= {"apiVersion": "v1", "kind": "Pod"}
    second["metadata"] |= {"name": "second", "namespace": work.namespace}
    # By this label the Job would take the pod for its own, and delete it as one too many.
    second["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] = "another"
    work.cluster.client.request("POST", f"/api/v1/namespaces/{work.namespace}/pods", second)

    def state():
        (pod,) = [pod for pod in work.pods() if pod["metadata"]["name"] == "second"]
        return pod["status"].get("containerStatuses", [{}])[0].get("state", {}).get("terminated")

    work.until(state, "the end of the second pod")
    assert (state()["exitCode"], "another one does" in state()["message"]) == (0, True)
    assert work.bench.ledger() == ["waits"]
    (work.bench.path / "go").touch()
    assert owner.wait(180) == 0, (work.bench.path / "output").read_text()
    assert work.bench.ledger() == ["waits"]
    work.until(lambda: work.cluster.items("leases", work.namespace) == [], "the Lease to go with its Job")


def test_10b_a_pod_whose_attempt_was_given_up_stores_nothing_more(work):
    owner, job = begun(work)
    name = job["metadata"]["name"]
    path = f"/apis/coordination.k8s.io/v1/namespaces/{work.namespace}/leases/{name}"
    work.cluster.client.request("PATCH", path, {"spec": {"holderIdentity": "owner"}})
    (work.bench.path / "go").touch()
    assert owner.wait(180) == 1
    assert "its owner has given it up" in work("runs", "events", "last").out
    assert list((work.bench.path / "claim").rglob("waits*")) == []


def test_a_pod_without_permission_for_its_claim_says_which_and_what_to_do(work):
    work.cluster.kubectl("delete", "rolebinding", "--all", "-n", work.namespace)
    page = work.run("one_waits")
    assert page["status"] == "FAILURE"
    (step,) = page["steps"]
    assert 'cannot create resource "leases"' in step["error"]
    assert "orchestrator kubernetes rbac" in step["error"]
    assert work.bench.ledger() == []


def test_what_a_pod_prints_is_seen_while_it_runs_by_who_watches_the_run(work):
    owner = work.start("run", "is_loud")
    work.until(lambda: "first" in work("runs", "logs", "last").out, "the first line")
    assert owner.poll() is None
    (work.bench.path / "go").touch()
    assert owner.wait(PATIENCE_S) == 0
    assert [line.split()[-1] for line in work("runs", "logs", "last").out.splitlines()] == ["first", "last"]


def test_the_daemon_fetches_the_output_of_a_run_that_is_followed(work):
    work("run", "is_loud", "--detach").ok()
    daemon = work.bench.start("daemon", "start", to=work.bench.path / "log", **work.environment)
    work.until(work.running, "the pod to run")
    follower = work.bench.start("runs", "logs", "last", "--follow", to=work.bench.path / "followed", **work.environment)
    work.until(lambda: "first" in (work.bench.path / "followed").read_text(), "the first line")
    (work.bench.path / "go").touch()
    assert follower.wait(PATIENCE_S) == 0
    assert "last" in (work.bench.path / "followed").read_text()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()


def test_steps_of_one_run_run_here_and_in_the_cluster(work):
    work.bench.write(
        PIPELINES
        + """
    class Shared(IOManager):
        def handle_output(self, context, obj):
            with open("value", "w") as file:
                file.write(repr(obj))

        def load_input(self, context):
            with open("value") as file:
                return eval(file.read())

    @io_manager(reach="anywhere")
    def bucket():
        return Shared()

    @step(executor="subprocess")
    def here() -> list:
        return [os.getpid() > 100]

    @step
    def there(values: list):
        note(f"{values} {os.getpid() < 100}".replace(" ", ""))

    @pipeline(modes=[Mode("shared", resources={"io_manager": bucket})])
    def mixed():
        there(here())
"""
    )
    code, printed = work.finish("run", "mixed")
    assert code == 0, printed
    assert work.bench.ledger() == ["[True]True"]
    steps = {step["key"]: step["place"] for step in json.loads(work("runs", "show", "last", "--json").out)["steps"]}
    assert steps["here"] is None
    assert steps["there"]["node"] == "node"


def test_the_job_of_a_failed_attempt_is_deleted_after_keep_failed_though_its_run_is_over(work):
    work.write(keep_failed="1s")
    assert work.run("eats")["status"] == "FAILURE"
    work.patience_s = 15
    work.until_nothing_is_left()


@pytest.mark.long
def test_8_a_pod_that_is_slow_to_start_is_not_ended_by_the_deadline_of_its_step(work):
    work.write(start_timeout="170s")
    settings = yaml.safe_load((work.path / ".orchestrator.yaml").read_text())
    pod = settings["kubernetes"]["pod"]
    pod["volumes"].append({"name": "late", "configMap": {"name": "comes-late"}})
    pod["containers"][0]["volumeMounts"].append({"name": "late", "mountPath": "/late"})
    work.bench.settings(yaml.safe_dump(settings))
    work.patience_s = 300
    work.run("is_late_once")
    assert "ran longer than allowed" not in work("runs", "events", "last").out


def image_line(work, location="main"):
    done = work("kubernetes", "check", location)
    return done.code, next(line for line in done.out.splitlines() if f"location {location} runs in" in line)


NEWER = """
    if "WHERE" not in os.environ:
        @pipeline
        def newer():
            total(numbers())
"""


def test_13_check_looks_into_an_image_and_compares_it_with_what_is_here(work):
    code, line = image_line(work)
    assert (code, "which has its module and orchestrator" in line) == (0, True), line
    settings = yaml.safe_load((work.path / ".orchestrator.yaml").read_text())
    (container,) = settings["kubernetes"]["pod"]["containers"]

    def with_container(**changes):
        settings["kubernetes"]["pod"]["containers"] = [{**container, **changes}]
        work.bench.settings(yaml.safe_dump(settings))
        return image_line(work)

    work.bench.write(PIPELINES + NEWER)
    code, line = with_container(env=[*container["env"], {"name": "WHERE", "value": "pod"}])
    assert (code, line.endswith("it lacks the pipeline newer")) == (1, True), line
    code, line = with_container(workingDir="/tmp")
    assert (code, "its module cannot be imported: DefinitionError: there is no file" in line) == (1, True), line
    code, line = with_container(command=["/usr/bin/env", "python9", "-m", "orchestrator.worker.in_pod"])
    assert (code, "the pod ended with exit code 127" in line, "python9" in line) == (1, True, True), line
    settings["locations"][0]["image"] = "local/absent:9"
    code, line = with_container()
    assert (code, "no pod starts from it" in line, "local/absent:9" in line) == (1, True, True), line
    work.until(lambda: work.cluster.items("jobs", work.namespace) == [], "the Jobs to be deleted")


def test_attempts_may_be_pods_without_jobs_and_leave_nothing(work):
    work.write(unit="pod")
    code, printed = work.finish("run", "adds_up")
    assert code == 0, printed
    assert work.bench.ledger() == ["numbers", "total"]
    assert work.cluster.items("jobs", work.namespace) == []
    for kind in ("pods", "secrets", "leases"):
        work.until(lambda kind=kind: work.cluster.items(kind, work.namespace) == [], f"its {kind} to be deleted")


def test_3_a_pod_without_a_job_that_is_deleted_is_lost_and_made_again(work):
    work.write(unit="pod")
    owner = work.start("run", "one_waits")
    work.until(lambda: work.bench.ledger() == ["waits"], "the step to begin")
    work.until(work.running, "the pod's phase to say so")
    (pod,) = work.running()
    work.cluster.kubectl("delete", "pod", "-n", work.namespace, pod["metadata"]["name"], "--wait=false")
    work.until(lambda: work.bench.ledger() == ["waits", "waits"], "a second attempt")
    owner.send_signal(signal.SIGKILL)
    owner.wait()

    def second():
        found = json.loads(work("kubernetes", "jobs", "--json").out)
        return [(one["step"], one["state"], one["is_orphan"]) for one in found if one["attempt"] == 2]

    work.until(lambda: second() == [("waits", "active", False)], "the second attempt to be listed")
    (work.bench.path / "go").touch()
    code, printed = work.finish("runs", "resume", "last")
    assert code == 0, printed
    assert work.bench.ledger() == ["waits", "waits"]
    assert "its pod was deleted" in work("runs", "events", "last").out
    work.until(lambda: work.pods() == [], "its pods to be deleted")
