"""What any IO manager is asked, in which order, and what it may answer."""

import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from orchestrator import (
    AssetMaterialization,
    DynamicOut,
    DynamicOutput,
    InputContext,
    IOManager,
    Mode,
    Out,
    Output,
    OutputContext,
    RetryRequested,
    io_manager,
    pipeline,
    step,
)
from tests.definitions.short import double, files, load, one, run, run_function, sort_out, total, why


class Shelf(IOManager):
    """Keeps values in a dictionary by their identifier, and remembers what it was asked."""

    def __init__(self, returns=None):
        self.kept = {}
        self.stored: list[OutputContext] = []
        self.loaded: list[InputContext] = []
        self._returns = returns

    def handle_output(self, context, obj):
        self.stored.append(context)
        self.kept[context.identifier()] = obj
        return self._returns() if callable(self._returns) else self._returns

    def load_input(self, context):
        self.loaded.append(context)
        return self.kept[context.upstream_output.identifier()]


def materialized(result):
    return [str(AssetMaterialization(event.asset).asset_key) for event in assets(result)]


def assets(result):
    return [event for event in result.events if type(event).__name__ == "AssetMaterialized"]


# --- who stores and who loads ---


def test_what_stored_an_output_also_loads_it():
    lake, default = Shelf(), Shelf()

    @step(io_manager="lake")
    def gives() -> int:
        return 5

    @pipeline(modes=[Mode("m", resources={"lake": lake, "io_manager": default})])
    def wired():
        double(gives())

    assert wired.execute_in_process().output("double") == 10
    assert [context.step for context in lake.stored] == ["gives"]
    assert lake.loaded[0].step == "double"
    assert [context.step for context in default.stored] == ["double"]


def test_the_io_manager_is_chosen_for_each_output():
    shelves = {"a": Shelf(), "b": Shelf()}

    @step(outputs={"x": Out(int, io_manager="a"), "y": Out(int, io_manager="b")})
    def both():
        yield Output(1, "x")
        yield Output(2, "y")

    @pipeline(modes=[Mode("m", resources=shelves)])
    def wired():
        total([both().x, both().y])

    assert wired.execute_in_process().output("total") == 3
    assert [context.name for context in shelves["a"].stored] == ["x", "x"]
    assert [context.name for context in shelves["b"].stored] == ["y", "y"]


def test_each_member_of_a_list_is_loaded_by_its_own_manager():
    first, second = Shelf(), Shelf()

    @step(io_manager="first")
    def in_first() -> int:
        return 1

    @step(io_manager="second")
    def in_second() -> int:
        return 2

    @pipeline(modes=[Mode("m", resources={"first": first, "second": second})])
    def wired():
        total([in_first(), in_second()])

    assert wired.execute_in_process().output("total") == 3
    assert [context.upstream_output.step for context in first.loaded] == ["in_first"]
    assert [context.upstream_output.step for context in second.loaded] == ["in_second"]


def test_members_of_a_list_without_a_value_are_not_loaded():
    shelf = Shelf()

    @pipeline(modes=[Mode("m", resources={"io_manager": shelf})])
    def wired():
        even, odd = sort_out()
        total([even, odd])

    wired.execute_in_process()
    assert [context.upstream_output.name for context in shelf.loaded] == ["odd"]


def test_the_same_steps_store_differently_in_different_modes():
    shelf = Shelf(lambda: AssetMaterialization("numbers"))

    @pipeline(modes=[Mode("test"), Mode("prod", resources={"io_manager": shelf})])
    def wired():
        double(one())

    test, prod = wired.execute_in_process(mode="test"), wired.execute_in_process(mode="prod")
    assert test.output("double") == prod.output("double") == 2
    assert (materialized(test), materialized(prod)) == ([], ["numbers", "numbers"])


# --- what it is told ---


def test_the_context_of_an_output_names_the_value_and_what_is_declared_of_it():
    shelf = Shelf()

    @step(outputs=Out(int, metadata={"path": "x"}))
    def gives():
        return 1

    result = run(gives, resources={"io_manager": shelf})
    (context,) = shelf.stored
    assert context.identifier() == (result.run_id, "gives", "result")
    assert (context.step, context.step_key, context.pipeline) == ("gives", "gives", "only_these")
    assert (context.metadata, context.type, context.attempt) == ({"path": "x"}, int, 1)
    assert (context.mapping_key, context.version) == (None, None)


def test_the_context_of_an_input_says_what_the_step_expects():
    shelf = Shelf()

    @pipeline(modes=[Mode("m", resources={"io_manager": shelf})])
    def wired():
        double(one())

    result = wired.execute_in_process()
    (context,) = shelf.loaded
    assert (context.name, context.step, context.run_id, context.pipeline) == ("n", "double", result.run_id, "wired")
    assert context.type is int
    assert context.upstream_output.identifier() == (result.run_id, "one", "result")


def test_values_of_a_dynamic_output_are_stored_one_by_one_with_their_key():
    shelf = Shelf()

    @pipeline(modes=[Mode("m", resources={"io_manager": shelf})])
    def wired():
        files().map(load)

    result = wired.execute_in_process()
    assert [context.identifier()[1:] for context in shelf.stored] == [
        ("files", "result", "a"),
        ("files", "result", "b"),
        ("load[a]", "result"),
        ("load[b]", "result"),
    ]
    assert result.output("load") == {"a": "A", "b": "B"}


def test_values_of_a_mapped_step_are_partitions():
    shelf = Shelf()

    @pipeline(modes=[Mode("m", resources={"io_manager": shelf})])
    def wired():
        files().map(load)

    wired.execute_in_process()
    assert [context.partition for context in shelf.stored] == [None, None, "a", "b"]


def test_a_manager_has_its_configuration_its_resources_and_a_logger():
    seen = {}

    shelf = Shelf()

    @io_manager(resources={"spark"})
    def simple(context, config: dict):
        class Looks(IOManager):
            def handle_output(self, context, obj):
                seen["out"] = (context.config, context.resources.spark, list(context.resources))
                context.log.info("stored")
                shelf.handle_output(context, obj)

            def load_input(self, context):
                seen["in"] = (context.config, context.resources.spark)
                return shelf.load_input(context)

        return Looks()

    @pipeline(modes=[Mode("m", resources={"io_manager": simple, "spark": "spark", "other": 1})])
    def wired():
        double(one())

    result = wired.execute_in_process(config={"resources": {"io_manager": {"config": {"dir": "x"}}}})
    assert seen == {"out": ({"dir": "x"}, "spark", ["spark"]), "in": ({"dir": "x"}, "spark")}
    assert "log_emitted" in result.events_of("one")


def test_the_result_of_a_run_is_loaded_with_the_same_context():
    seen = []

    class Configured(Shelf):
        def load_input(self, context):
            seen.append((context.config, context.run_id, context.pipeline, context.resources.spark))
            return super().load_input(context)

    shelf = Configured()

    @io_manager(resources={"spark"})
    def configured(context, config: dict):
        return shelf

    @pipeline(modes=[Mode("m", resources={"io_manager": configured, "spark": "spark"})])
    def wired():
        one()

    result = wired.execute_in_process(config={"resources": {"io_manager": {"config": {"dir": "x"}}}})
    assert result.output("one") == 1
    assert seen == [({"dir": "x"}, result.run_id, "wired", "spark")]


def test_the_type_of_an_output_may_be_the_return_annotation():
    shelf = Shelf()

    @step
    def gives() -> int:
        return 1

    @step
    def gives_anything():
        return 1

    run(gives, gives_anything, resources={"io_manager": shelf})
    assert [context.type for context in shelf.stored] == [int, None]


# --- what it may answer ---


def several():
    yield AssetMaterialization("a")
    yield AssetMaterialization("b")


@pytest.mark.parametrize(
    ("returns", "recorded"),
    [
        pytest.param(lambda: None, [], id="nothing"),
        pytest.param(lambda: AssetMaterialization("a"), ["a"], id="one"),
        pytest.param(lambda: [AssetMaterialization("a"), AssetMaterialization("b")], ["a", "b"], id="a list"),
        pytest.param(lambda: (AssetMaterialization("a"),), ["a"], id="a tuple"),
        pytest.param(list, [], id="an empty list"),
        pytest.param(several, ["a", "b"], id="a generator"),
    ],
)
def test_storing_may_record_any_number_of_assets(returns, recorded):
    result = run(one, resources={"io_manager": Shelf(returns)})
    assert result.success
    assert materialized(result) == recorded
    assert result.events_of("one")[2:] == [
        "output_produced",
        *["asset_materialized"] * len(recorded),
        "output_stored",
        "attempt_succeeded",
    ]


def test_storing_may_be_written_as_a_generator():
    class Yields(Shelf):
        def handle_output(self, context, obj):
            yield AssetMaterialization("before")
            self.kept[context.identifier()] = obj
            yield AssetMaterialization("after")

    shelf = Yields()
    assert materialized(run(one, resources={"io_manager": shelf})) == ["before", "after"]
    assert list(shelf.kept.values()) == [1]


@pytest.mark.parametrize(
    ("returns", "shown"),
    [
        pytest.param(3, "3", id="a number"),
        pytest.param("done", "'done'", id="text"),
        pytest.param({"rows": 3}, "{'rows': 3}", id="a dictionary"),
        pytest.param([AssetMaterialization("a"), 3], "3", id="something in a list"),
        pytest.param(True, "True", id="True"),
    ],
)
def test_any_other_answer_fails_the_step(returns, shown):
    assert why(run(one, resources={"io_manager": Shelf(returns)}), "one") == (
        f"DefinitionError: The IO manager 'io_manager' returned {shown} from handle_output. It may return nothing, an"
        " AssetMaterialization or several. (while storing output 'result' of step 'one' with io_manager 'io_manager')"
    )


def test_a_value_of_the_wrong_type_is_not_handed_to_the_manager():
    shelf = Shelf()

    def wrong() -> int:
        return "x"

    assert not run_function(wrong).success
    run(step(wrong), resources={"io_manager": shelf})
    assert shelf.stored == []


def test_of_several_values_those_before_the_wrong_one_were_stored():
    shelf = Shelf()

    @step(outputs=DynamicOut(int))
    def some():
        yield DynamicOutput(1, key="a")
        yield DynamicOutput("x", key="b")

    run(some, resources={"io_manager": shelf})
    assert [context.mapping_key for context in shelf.stored] == ["a"]


def test_none_is_stored_and_loaded_like_any_value():
    shelf = Shelf()

    @step
    def gives():
        return None

    @step
    def takes(value) -> str:
        return repr(value)

    @pipeline(modes=[Mode("m", resources={"io_manager": shelf})])
    def wired():
        takes(gives())

    assert wired.execute_in_process().output("takes") == "None"
    assert len(shelf.stored) == 2


def test_a_step_without_a_value_asks_nothing_of_a_manager():
    shelf = Shelf()

    @step
    def says_nothing() -> None: ...

    @step
    def later() -> None: ...

    @pipeline(modes=[Mode("m", resources={"io_manager": shelf})])
    def wired():
        later(after=says_nothing())

    assert wired.execute_in_process().success
    assert (shelf.stored, shelf.loaded) == ([], [])


def test_order_without_data_loads_nothing():
    shelf = Shelf()

    @pipeline(modes=[Mode("m", resources={"io_manager": shelf})])
    def wired():
        one(after=one())

    wired.execute_in_process()
    assert shelf.loaded == []


def test_a_step_that_is_tried_again_stores_again():
    shelf = Shelf()

    @step(outputs={"a": Out(int), "b": Out(int)})
    def it(context):
        yield Output(context.attempt, "a")
        if context.attempt == 1:
            raise RetryRequested
        yield Output(context.attempt, "b")

    assert run(it, resources={"io_manager": shelf}).success
    assert [(context.name, context.attempt) for context in shelf.stored] == [("a", 1), ("a", 2), ("b", 2)]
    assert sorted(shelf.kept.values()) == [2, 2]


def test_a_manager_must_be_able_to_store_and_to_load():
    class OnlyStores(IOManager):
        def handle_output(self, context, obj): ...

    with pytest.raises(TypeError, match="load_input"):
        OnlyStores()


def test_a_manager_knows_of_no_versions_unless_it_says_so():
    assert Shelf().has_output(OutputContext(version="v1")) is False


# --- the sample of the announcement, in our words ---


class ParquetReader:
    """Stands for a session of the engine that reads and writes the tables."""

    def __init__(self, root):
        self._root = root

    def write(self, table, path):
        target = os.path.join(self._root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        pq.write_table(table, target)

    def read(self, path):
        return pq.read_table(os.path.join(self._root, path))


class LocalParquet(IOManager):
    def _path(self, context):
        return os.path.join(context.run_id, context.step_key, context.name)

    def handle_output(self, context, obj):
        context.resources.spark.write(obj, self._path(context))

    def load_input(self, context):
        return context.resources.spark.read(self._path(context.upstream_output))


@io_manager(resources={"spark"})
def local_parquet(context):
    return LocalParquet()


@step
def make_people() -> pa.Table:
    return pa.table({"name": ["Ada", "Grace"], "age": [51, 48]})


@step
def over_50(people: pa.Table) -> pa.Table:
    return people.filter(pc.greater(people["age"], 50))


def test_tables_pass_between_steps_as_parquet_files_that_the_steps_know_nothing_of(tmp_path):
    @pipeline(modes=[Mode("default", resources={"io_manager": local_parquet, "spark": ParquetReader(tmp_path)})])
    def filter_people():
        over_50(make_people())

    result = filter_people.execute_in_process()
    assert result.output("over_50").to_pylist() == [{"name": "Ada", "age": 51}]
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == [f"{result.run_id}/make_people/result", f"{result.run_id}/over_50/result"]
