"""Runs of many pods on a real cluster, by the installed command. The numbers are those of docs/kubernetes.md."""

import json
import signal

import pytest

from tests.kubernetes.workspace import PATIENCE_S

PIPELINES = """
    import os, time
    from orchestrator import AssetMaterialization, DynamicOut, DynamicOutput, RetryPolicy, pipeline, step

    def note(line):
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\\n".encode())
        os.close(descriptor)

    @step(retry=RetryPolicy(max_retries=0, infrastructure_retries=2))
    def waits(context):
        note(f"begin {context.step}")
        while not os.path.exists("go"):
            time.sleep(0.1)
        note(f"end {context.step}")

    @pipeline
    def one_waits():
        waits()

    @pipeline
    def twenty_wait():
        for number in range(20):
            waits.alias(f"w{number}")()

    @step
    def brief(context):
        note(f"begin {context.step}")
        time.sleep(1)
        note(f"end {context.step}")

    @pipeline
    def four_are_brief():
        for number in range(4):
            brief.alias(f"b{number}")()

    @pipeline
    def ten_are_brief():
        for number in range(10):
            brief.alias(f"b{number}")()

    @step
    def loud(context):
        line = "x" * 99 + "\\n"
        for part in range(50):
            context.log.info(f"part {part}")
            if part % 20 == 0:
                context.log_asset(AssetMaterialization(f"asset_{part}"))
            for _ in range(40):
                os.write(1, line.encode() * 1000)
        print("the last line")

    @pipeline
    def shouts():
        loud()

    @step
    def loud_and_long(context):
        for part in range(200):
            context.log.info(os.urandom(60).hex())
        for _ in range(30):
            os.write(1, (b"x" * 999 + b"\\n") * 1000)

    @pipeline
    def shouts_long_lines():
        loud_and_long()

    @step(timeout=2)
    def dawdles(context) -> None:
        note(f"begin {context.step}")
        time.sleep(300)

    @pipeline
    def is_late():
        dawdles()

    @step
    def total(context, numbers: list[int]) -> None:
        note(sum(numbers))

    @step(name="Keys_" + "O" * 55, outputs=DynamicOut(int))
    def long_keys():
        yield DynamicOutput(1, key="A." + "-x" * 40 + "_Z")
        yield DynamicOutput(2, key="A." + "-x" * 40 + "_z")

    @step(name="Waits_" + "O" * 54, retry=RetryPolicy(max_retries=0, infrastructure_retries=0))
    def long_waits(context, number: int) -> int:
        waits_for_go(context)
        return number

    def waits_for_go(context):
        note(f"begin {context.step}")
        while not os.path.exists("go"):
            time.sleep(0.1)

    @pipeline(name="Pipeline_" + "O" * 51, tags={"größe": "日本 🚀/x", "Upper/Case": "A b"})
    def has_long_names():
        total(long_keys().map(long_waits).collect())
"""


def begun(work):
    return [line for line in work.lines() if line.startswith("begin")]


def test_2_a_daemon_killed_while_twenty_pods_run_adopts_them_all(work):
    work.write(steps=20)
    daemon = work.start("daemon", "start")
    assert work.queue("twenty_wait").code == 0
    work.until(lambda: len(begun(work)) == 20, "twenty steps to begin")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    daemon = work.start("daemon", "start")
    work.until(lambda: "run_resumed" in work.kinds(), "the run to be taken over")
    (work.path / "go").touch()
    work.until(work.is_over, "the run's end")
    assert work.show()["status"] == "SUCCESS"
    assert sorted(work.lines()) == sorted(f"{word} w{n}" for word in ("begin", "end") for n in range(20))
    assert work.kinds().count("attempt_launched") == 20
    work.until_nothing_is_left()
    assert work("daemon", "stop").code == 0
    daemon.wait(PATIENCE_S)


def test_3_a_pod_that_is_evicted_is_lost_with_that_reason_and_made_again(work):
    owner = work.start("run", "one_waits")
    work.until(lambda: begun(work) == ["begin waits"], "the step to begin")
    work.until(work.running, "the pod's phase to say so")
    (pod,) = work.running()
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    work.cluster.request("POST", f"/api/v1/namespaces/{work.namespace}/pods/{name}/eviction", eviction)
    work.until(lambda: begun(work) == ["begin waits"] * 2, "a second attempt")
    (work.path / "go").touch()
    assert owner.wait(PATIENCE_S) == 0, work.printed()
    (lost,) = [event for event in work.events() if event["event"] == "attempt_lost"]
    assert "evicted through the API" in lost["reason"]


# A Job whose pod was refused is tried again by Kubernetes after 1, 2, 4, ... seconds, up to a minute.
@pytest.mark.parametrize(
    ("pipeline", "count"), [("four_are_brief", 4), pytest.param("ten_are_brief", 10, marks=pytest.mark.long)]
)
def test_5_a_quota_lets_two_run_at_a_time_and_is_said_to_be_what_the_others_wait_for(work, pipeline, count):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two"}, "spec": {"hard": {"pods": "2"}}}
    work.cluster.request("POST", f"/api/v1/namespaces/{work.namespace}/resourcequotas", quota)
    work.write(steps=10)
    assert work.start("run", pipeline).wait(5 * PATIENCE_S) == 0, work.printed()
    running = most = 0
    for line in work.lines():
        running += 1 if line.startswith("begin") else -1
        most = max(most, running)
    assert most == 2
    assert len(begun(work)) == len(set(begun(work))) == count
    refused = [reason for reason in work.waited() if "exceeded quota: two" in reason]
    assert 0 < len(refused) <= 2 * count, refused


def test_5_a_secret_that_does_not_exist_is_named_while_waiting_and_fails_the_attempt(work):
    work.write(env_from=[{"secretRef": {"name": "absent-credentials"}}])
    page = work.run("one_waits")
    assert page["status"] == "FAILURE"
    assert 'secret "absent-credentials" not found' in page["steps"][0]["error"]
    assert any('secret "absent-credentials" not found' in reason for reason in work.waited())
    assert "attempt_lost" not in work.kinds()


@pytest.mark.long
def test_7_two_hundred_megabytes_of_output_lose_no_event_and_the_newest_is_kept(work):
    code, printed = work.finish("run", "shouts")
    assert code == 0, printed
    logged = [event["message"] for event in work.events() if event["event"] == "log_emitted"]
    assert logged == [f"part {number}" for number in range(50)]
    assert [asset["name"] for asset in work.show()["assets"]] == ["asset_0", "asset_20", "asset_40"]
    (output,) = work.bench.state.glob("runs/**/stdout.log")
    assert output.read_bytes().endswith(b"the last line\n")


def test_7_events_that_do_not_fit_the_message_survive_long_lines_of_output(work):
    code, printed = work.finish("run", "shouts_long_lines")
    assert code == 0, printed
    assert work.kinds().count("log_emitted") == 200


def test_8_the_pod_of_a_step_with_a_timeout_is_given_a_minute_more_by_the_cluster(work):
    work.write(start_timeout="100s")
    owner = work.start("run", "is_late")
    work.until(lambda: begun(work) == ["begin dawdles"], "the step to begin")
    owner.send_signal(signal.SIGKILL)
    (pod,) = work.pods()
    assert pod["spec"]["activeDeadlineSeconds"] == 100 + 2 + 60
    assert work("runs", "cancel", "last").code == 0
    work.finish("runs", "resume", "last")


@pytest.mark.long
def test_8_a_pod_whose_owner_is_dead_for_good_is_ended_by_the_cluster(work):
    work.write(start_timeout="10s")
    owner = work.start("run", "is_late")
    work.until(lambda: begun(work) == ["begin dawdles"], "the step to begin")
    owner.send_signal(signal.SIGKILL)
    work.until(lambda: [pod["status"]["phase"] for pod in work.pods()] == ["Failed"], "the pod to be ended")
    (pod,) = work.pods()
    assert pod["status"]["reason"] == "DeadlineExceeded"
    code, printed = work.finish("runs", "resume", "last")
    assert code == 1, printed
    assert begun(work) == ["begin dawdles"]


def test_14_long_names_keys_and_tags_of_any_kind_are_found_again(work):
    pipeline, tag = "Pipeline_" + "O" * 51, "größe=日本 🚀/x"
    owner = work.start("run", pipeline, "--tag", tag, "--tag", "Who/Ever=A b")
    work.until(lambda: len(begun(work)) == 2, "two steps to begin")
    listed = json.loads(work("kubernetes", "jobs", "--json").out)
    waiting = [f"Waits_{'O' * 54}[A.{'-x' * 40}_{letter}]" for letter in "Zz"]
    assert [job["step"] for job in listed if job["state"] == "active"] == waiting
    assert len({job["name"] for job in listed}) == len(listed)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    (work.path / "go").touch()
    code, printed = work.finish("runs", "resume", "last")
    assert code == 0, printed
    assert len(begun(work)) == 2
    assert "attempt_lost" not in work.kinds()
    work.until_nothing_is_left()
