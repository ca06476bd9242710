"""Rows of steps that are Kubernetes Jobs, beside Jobs that are not ours, on the cluster of the tests."""

import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.cluster import ON_FAKE_NODE, Place, fake_node
from tests.benchmarks.measure import Row
from tests.benchmarks.watched import WatchedDaemon

PIPELINES = """
    import time
    STARTED = time.time()
    from pathlib import Path
    from orchestrator import Pod, pipeline, step

    @step
    def says_when() -> None:
        Path("began").write_text(f"{time.time()} {IMPORTED}")

    @step
    def nothing() -> None:
        pass

    @step(pod=Pod(spec=ON_FAKE_NODE))
    def pretends() -> None:
        pass

    @pipeline
    def one():
        says_when()

    def many(what):
        @pipeline(name=f"{what.name}COUNT")
        def made():
            for _ in range(COUNT):
                what()
        return made

    nothings, pretended = many(nothing), many(pretends)
    IMPORTED = time.time() - STARTED
"""
SAYS_WHEN = ["-c", "import time; open('began', 'w').write(f'{time.time()} 0')"]


def rows(scratch, clusters, size):
    """(name, function that measures it), in the order of the table. Where there can be no cluster they have no rows."""
    measures = {
        "kubernetes one Job": one_job,
        "kubernetes 100 Jobs": hundred_jobs,
        "kubernetes 300 Jobs": three_hundred_jobs,
        "kubernetes 200 Jobs at rest": jobs_at_rest,
        "kubernetes 1,000 Jobs": thousand_jobs,
    }

    def on_cluster(measure):
        cluster = clusters.find()
        return () if cluster is None else measure(scratch, cluster, size)

    return [(name, lambda measure=measure: on_cluster(measure)) for name, measure in measures.items()]


def source(count):
    """The module of a workspace with pipelines of one step and of so many."""
    return PIPELINES.replace("COUNT", str(count)).replace("ON_FAKE_NODE", repr(ON_FAKE_NODE))


def one_job(scratch, cluster, size):
    """Runs of one step and bare Jobs that do the same, in turns."""
    place = Place(cluster, scratch / "one-job", source(1), at_a_time=1)
    with place.watched() as seen:
        pairs = [(one_run(place, seen), bare_run(place, seen, number)) for number in range(size(16, 1))]
    pairs = pairs[size(1, 0) :]  # the first warms up
    own, bare = ([pair[side] for pair in pairs] for side in (0, 1))
    yield Row(
        "Job created to user code running, less the import of its module, in times of a bare Job",
        statistics.median((ours["began"] - ours["imported"]) / other["began"] for ours, other in pairs),
        "x",
        1.15,
        beside={"ours": median(own, "began"), "bare": median(bare, "began"), "import": median(own, "imported")},
        beside_unit="s",
    )
    recorded = [ours["recorded"] for ours in own]
    what = "container ended, as the API server says it, to the step recorded and the run finished"
    yield Row(what, statistics.median(recorded), "s", 0.25, beside={"slowest": max(recorded)}, is_difference=True)


def one_run(place, seen):
    """Seconds of a run of one step until its code began, and from its end until it was recorded."""
    before = set(seen.created)
    place("run", "one")
    (job,) = seen.created.keys() - before
    return {**start_of(place, seen, job), "recorded": place.recorded() - seen.ended[job]}


def bare_run(place, seen, number):
    """Seconds of a bare Job until its code began."""
    job = f"bare-{number}"
    place.create([place.bare(job, [sys.executable, *SAYS_WHEN])])
    seen.until(lambda: job in seen.ended, "the end of a Job")
    return start_of(place, seen, job)


def start_of(place, seen, job):
    """Seconds from the creation of a Job that has ended to its user code, and how long its module was imported."""
    began, imported = map(float, (place.path / "began").read_text().split())
    return {"began": began - seen.created[job], "imported": imported}


def median(found, what):
    return statistics.median(one[what] for one in found)


def hundred_jobs(scratch, cluster, size):
    """The same Jobs that a run sends are also created by kubectl at once, and by a loop as others end."""
    count = size(100, 2)
    place = Place(cluster, scratch / "hundred", source(count), at_a_time=10)
    with place.watched() as seen:
        took = whole_run(place, seen, f"nothing{count}")
        secret, job = place.sent(f"nothing{count}")
        cluster.request("POST", f"/api/v1/namespaces/{place.namespace}/secrets", secret)
        same = by_kubectl(place, seen, [renamed(job, number) for number in range(count)])
        place.clear(seen)
        loop = by_loop(place, seen, [renamed(job, count + number) for number in range(count)])
        place.clear(seen)
        bare = by_kubectl(place, seen, [place.bare(f"bare-{number}", ["true"]) for number in range(count)])
        place.clear(seen)
    yield Row(
        f"{count} Jobs that do nothing, 10 at a time, in times of the same Jobs created by kubectl",
        took / same,
        "x",
        1.2,
        beside={"ours": took, "kubectl": same, "a loop, 10 at a time": loop, "kubectl, `true` of the same image": bare},
        beside_unit="s",
    )


def three_hundred_jobs(scratch, cluster, size):
    """On a node that only pretends, so that the API server, the controllers and we are all that costs."""
    count = size(300, 2)
    place = Place(cluster, scratch / "pretended", source(count), at_a_time=count)
    own, bare = [], []
    with fake_node(cluster), place.watched() as seen:
        for turn in range(size(3, 1)):
            own.append(whole_run(place, seen, f"pretends{count}"))
            place.clear(seen)
            names = [f"bare-{turn}-{number}" for number in range(count)]
            bare.append(by_kubectl(place, seen, [place.bare(name, ["true"], **ON_FAKE_NODE) for name in names]))
            place.clear(seen)
    yield Row(
        f"{count} steps on a node that only pretends, in times of as many bare Jobs",
        statistics.median(ours / others for ours, others in zip(own, bare, strict=True)),
        "x",
        1.2,
        beside={"ours": statistics.median(own), "bare": statistics.median(bare)},
        beside_unit="s",
    )


def whole_run(place, seen, pipeline):
    """Seconds from the creation of a run's first Job until the run is recorded as finished."""
    before = set(seen.created)
    place("run", pipeline)
    return place.recorded() - min(seen.created[job] for job in seen.created.keys() - before)


def by_kubectl(place, seen, manifests):
    """Seconds from the creation of the first of these Jobs to the end of the last."""
    jobs = {one["metadata"]["name"] for one in manifests}
    place.create(manifests)
    seen.until(lambda: jobs <= seen.ended.keys(), "the end of all Jobs")
    return max(seen.ended[job] for job in jobs) - min(seen.created[job] for job in jobs)


def by_loop(place, seen, manifests):
    """As `by_kubectl`, ten at a time and with no more than a request for each."""

    def send(job):
        place.cluster.request("POST", f"/apis/batch/v1/namespaces/{place.namespace}/jobs", job)
        seen.until(lambda: job["metadata"]["name"] in seen.ended, "the end of a Job")

    jobs = [one["metadata"]["name"] for one in manifests]
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(send, manifests))
    return max(seen.ended[job] for job in jobs) - min(seen.created[job] for job in jobs)


def renamed(job, number):
    """The same Job with a name of its own, wherever that is written in it: also its Lease is its own."""
    name = job["metadata"]["name"]
    return json.loads(json.dumps(job).replace(name, f"{name}-{number}"))


def jobs_at_rest(scratch, cluster, size):
    count, window = size((200, 60), (2, 1))
    place = Place(cluster, scratch / "resting", source(count), at_a_time=count)
    with fake_node(cluster, None), place.watched() as seen:
        with WatchedDaemon(place.path, **place.environment) as daemon:
            daemon.until_loaded()
            time.sleep(size(10, 0))
            without = daemon.cpu_during(window)
            place("run", f"pretends{count}", "--detach")
            seen.until(lambda: len(seen.running) == count, "the start of all Jobs")
            time.sleep(size(20, 0))
            used = daemon.cpu_during(window)
        place.clear(seen)  # once the daemon has ended: it would launch them again
    yield Row(
        f"daemon with {count} Jobs running: processor time, of one core",
        100 * used / window,
        "%",
        2,
        beside={"without any": 100 * without / window},
    )


def thousand_jobs(scratch, cluster, size):
    """Fifty at a time for two and a half seconds each are a thousand in about a minute."""
    count, at_a_time, runs_s = size((1000, 50, 2.5), (2, 2, 0.1))
    place = Place(cluster, scratch / "thousand", source(count), at_a_time)
    with fake_node(cluster, runs_s), place.watched() as seen:
        with WatchedDaemon(place.path, **place.environment) as daemon:
            daemon.until_loaded()
            time.sleep(size(10, 0))
            memory = [daemon.memory_mb()]
            place("run", f"pretends{count}", "--detach")
            seen.until(lambda: seen.created, "the first Job")
            before, started = daemon.cpu_s(), time.time()
            while len(seen.ended) < count:  # without asking the daemon, which would cost it time
                memory.append(daemon.memory_mb())
                time.sleep(size(1, 0.1))
            daemon.until(lambda: is_over(daemon), "the end of the run", 0.2)
            memory.append(daemon.memory_mb())
            used, took = daemon.cpu_s() - before, place.recorded() - started
        place.clear(seen)
    what = f"daemon while {count:,} Jobs start and end, {at_a_time} at a time"
    beside = {"processor time": used, "they took": took}
    yield Row(f"{what}: processor time, of one core", 100 * used / took, "%", 10, beside=beside, beside_unit="s")
    yield Row(
        f"{what}: most memory beyond an idle one",
        max(memory) - memory[0],
        "MB",
        40,
        beside={"idle": memory[0], "afterwards": memory[-1]},
        is_difference=True,
    )


def is_over(daemon):
    return daemon.ask("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL")[0][0] > 0
