"""Versions of outputs: what makes the output of one run as good as that of another."""

import pytest

from orchestrator import DynamicOut, Mode, Out, pipeline, resource, step
from orchestrator.planning.versions import step_versions


@step(version="1")
def source(config: dict | None = None) -> int:
    return 1


@step(version="1")
def refine(n: int, m: int = 0) -> int:
    return n


@step
def unversioned(n: int = 0) -> int:
    return n


@pipeline
def chain(p=1):
    refine(source(), p)


def versions(pipeline, config=None, mode=None):
    return step_versions(pipeline, pipeline.mode(mode), config or {})


def chain_of(source=source, refine=refine):
    @pipeline
    def chain(p=1):
        refine(source(), p)

    return chain


def test_the_same_code_and_configuration_have_the_same_versions():
    first, second = versions(chain), versions(chain_of())
    assert first == second
    assert set(first) == {"source", "refine"}
    assert first["source"] != first["refine"]


def test_a_new_version_of_a_step_changes_it_and_all_after_it():
    newer = step(version="2", name="source")(source.function)
    before, after = versions(chain), versions(chain_of(source=newer))
    assert before["source"] != after["source"]
    assert before["refine"] != after["refine"]


def test_a_new_version_of_the_last_step_changes_only_that():
    newer = step(version="2", name="refine")(refine.function)
    before, after = versions(chain), versions(chain_of(refine=newer))
    assert before["source"] == after["source"]
    assert before["refine"] != after["refine"]


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        pytest.param({}, set(), id="nothing"),
        pytest.param({"steps": {"source": {"config": {"a": 1}}}}, {"source", "refine"}, id="configuration of a step"),
        pytest.param({"inputs": {"p": 2}}, {"refine"}, id="an input of the pipeline"),
        pytest.param({"execution": {"retries": False}}, set(), id="what changes no value"),
        pytest.param({"resources": {"io_manager": {"config": {}}}}, set(), id="where values are kept"),
    ],
)
def test_configuration_changes_what_depends_on_it(config, changed):
    before, after = versions(chain), versions(chain, config)
    assert {key for key in before if before[key] != after[key]} == changed


def test_the_order_of_keys_in_a_configuration_means_nothing():
    def configured(config):
        return versions(chain, {"steps": {"source": {"config": config}}})

    assert configured({"a": 1, "b": 2}) == configured({"b": 2, "a": 1})


def test_a_step_without_a_version_has_none_nor_has_anything_after_it():
    @pipeline
    def mixed():
        refine(unversioned())
        source()

    assert set(versions(mixed)) == {"source"}


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param(DynamicOut(int), id="dynamic"),
        pytest.param({"a": Out(int, optional=True), "b": Out(int)}, id="optional"),
    ],
)
def test_outputs_that_are_only_known_by_running_have_no_version(outputs):
    @step(version="1", outputs=outputs)
    def unknown(): ...

    @pipeline
    def wired():
        unknown()

    assert versions(wired) == {}


def test_mapped_and_collecting_steps_have_no_version():
    @step(version="1", outputs=DynamicOut(int))
    def keys(): ...

    @step(version="1")
    def gather(ns: list[int]): ...

    @pipeline
    def wired():
        gather(keys().map(refine).collect())

    assert versions(wired) == {}


def test_the_order_of_a_fan_in_matters():
    @step(version="1")
    def gather(ns: list[int]): ...

    @pipeline
    def wired():
        first, second = source(), refine(source())
        gather.alias("one_way")([first, second])
        gather.alias("same_way")([first, second])
        gather.alias("other_way")([second, first])

    found = versions(wired)
    assert found["one_way"] == found["same_way"] != found["other_way"]


# --- resources ---


def uses_db(db, vault=None):
    @step(version="1", resources={"db"})
    def reads(context): ...

    @pipeline(
        modes=[
            Mode("test", resources={"db": db, "vault": vault or 1}),
            Mode("prod", resources={"db": db, "vault": vault or 1}),
        ]
    )
    def wired():
        reads()
        source()

    return wired


def database(version, needs=()):
    @resource(version=version, resources=needs)
    def db(context, config: dict | None = None): ...

    return db


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda: versions(uses_db(database("2")), mode="test"), id="a newer version of the resource"),
        pytest.param(
            lambda: versions(uses_db(database("1")), {"resources": {"db": {"config": {"a": 1}}}}, "test"),
            id="another configuration of the resource",
        ),
        pytest.param(lambda: versions(uses_db(database("1")), mode="prod"), id="another mode"),
        pytest.param(
            lambda: versions(uses_db(database("1", {"vault"}), database("1")), mode="test"), id="another need of it"
        ),
    ],
)
def test_a_step_that_uses_a_resource_depends_on_it(other):
    before, after = versions(uses_db(database("1")), mode="test"), other()
    assert before["reads"] != after["reads"]
    assert before["source"] == after["source"]


def test_a_resource_that_a_resource_needs_counts_too():
    def of_vault(version):
        return versions(uses_db(database("1", {"vault"}), database(version)), mode="test")["reads"]

    assert of_vault("1") != of_vault("2")


def test_steps_of_two_pipelines_have_nothing_to_do_with_each_other():
    @pipeline(name="first")
    def one_pipeline():
        source()

    @pipeline(name="second")
    def another_pipeline():
        source()

    assert versions(one_pipeline)["source"] != versions(another_pipeline)["source"]
