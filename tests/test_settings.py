"""The workspace file: found, read, and refused with every problem and its line."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import ConfigError
from orchestrator.locks import try_lock
from orchestrator.settings import EnvironmentVariable, find_workspace, load_settings


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / ".orchestrator.yaml"
        path.write_text(text)
        return path

    return write


def problems(path):
    with pytest.raises(ConfigError) as refused:
        load_settings(path)
    assert refused.value.exit_code == 3
    return refused.value.details


def test_an_empty_file_means_the_defaults(file):
    settings = load_settings(file(""))
    assert settings.locations == ()
    assert settings.executor.default == "subprocess"
    assert settings.run_queue.max_concurrent_runs == 10
    assert settings.state_path == settings.root / ".orchestrator"


def test_the_whole_file_of_the_documentation_is_read(file):
    settings = load_settings(
        file("""
state_dir: state
locations:
  - name: sales
    module: sales.pipelines
    working_dir: src
    python: .venv/bin/python
    isolation: spawn
    env: {WAREHOUSE: {env: WAREHOUSE_URL}, DEBUG: true, N: 3}
executor: {default: subprocess, max_concurrent_steps: 8}
run_queue:
  max_concurrent_runs: 10
  tag_limits: [{key: database, value: tiny, limit: 1}, {key: user, limit: 2, per_value: true}]
retention: {skipped_ticks: 7d, ticks: 90d, runs: 180d}
""")
    )
    (location,) = settings.locations
    assert location.env == {"WAREHOUSE": EnvironmentVariable(env="WAREHOUSE_URL"), "DEBUG": "true", "N": "3"}
    assert settings.directory_of(location) == settings.root / "src"
    assert settings.python_of(location) == str(settings.root / ".venv/bin/python")
    assert settings.retention.runs == 180 * 86400
    assert settings.run_queue.tag_limits[1].per_value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("locatons: []", ["line 1: locatons: unknown key. Did you mean locations?"], id="unknown key"),
        pytest.param("state_dir: a\nstate_dir: b", ["line 2: state_dir: given twice"], id="the same key twice"),
        pytest.param(
            "locations:\n  - name: a\n    module: x\n    modul: y",
            ["line 4: locations[0].modul: unknown key. Did you mean module?"],
            id="unknown key deeper",
        ),
        pytest.param(
            "locations:\n  - name: a",
            ["line 2: locations[0]: give either `module` or `file`"],
            id="neither module nor file",
        ),
        pytest.param(
            "locations:\n  - {name: a, module: x}\n  - {name: a, module: y}",
            ["line 3: locations[1].name: two locations are called 'a'"],
            id="two of a name",
        ),
        pytest.param(
            "executor: {max_concurrent_steps: 0}",
            ["line 1: executor.max_concurrent_steps: must be a whole number >= 1, got 0"],
            id="out of range",
        ),
        pytest.param(
            "executor: {max_concurrent_steps: many}",
            ["line 1: executor.max_concurrent_steps: must be a whole number, got 'many'"],
            id="no number",
        ),
        pytest.param("executor: []", ["line 1: executor: must be a mapping, got []"], id="no mapping"),
        pytest.param("locations: {a: b}", ["line 1: locations: must be a list, got {'a': 'b'}"], id="no list"),
        pytest.param("locations:\n  - a", ["line 2: locations[0]: must be a mapping, got 'a'"], id="no location"),
        pytest.param(
            "locations:\n  - {name: a, module: x,\n     isolation: thread}",
            ["line 3: locations[0].isolation: must be fork or spawn, got 'thread'"],
            id="none of the choices",
        ),
        pytest.param(
            "run_queue: {tag_limits: [{limit: 1}]}",
            ["line 1: run_queue.tag_limits[0].key: required, and missing"],
            id="something missing",
        ),
        pytest.param(
            "retention:\n  runs: soon",
            ["line 2: retention.runs: 'soon' is not a duration; write it like 90s, 15m, 24h, 7d or 1h30m"],
            id="no duration",
        ),
        pytest.param(
            "locations:\n  - {name: a, module: x, env: {A: {evn: B}}}",
            ["line 2: locations[0].env.A: must be text, a number or {env: NAME}, got {'evn': 'B'}"],
            id="neither text nor variable",
        ),
        pytest.param(
            "locations:\n  - {name: a, module: x, env: {A: }}",
            ["line 2: locations[0].env.A: has no value; write '' for an empty one"],
            id="an empty variable",
        ),
        pytest.param(
            "locations:\n  - {name: a, module: x, env: {A=B: c, '': d}}",
            [
                "line 2: locations[0].env.A=B: is not the name of an environment variable",
                "line 2: locations[0].env.: is not the name of an environment variable",
            ],
            id="a variable that cannot be one",
        ),
        pytest.param(
            "locations:\n  - {name: a, module: x, env: {A: {env: 'B=C'}}}",
            ["line 2: locations[0].env.A: is not the name of an environment variable"],
            id="a reference to a variable that cannot be one",
        ),
        pytest.param(
            'locations:\n  - {name: a, module: "x\\0", env: {A: "b\\0"}}',
            [
                "line 2: locations[0].module: must not have a NUL character in it, got 'x\\x00'",
                "line 2: locations[0].env.A: must not have a NUL character in it, got 'b\\x00'",
            ],
            id="NUL",
        ),
        pytest.param(
            "state_dir: ~nosuchuser/state",
            ["line 1: state_dir: there is no home directory for '~nosuchuser'"],
            id="the home of nobody",
        ),
        pytest.param(
            f"state_dir: {'x' * 256}", ["line 1: state_dir: is too long for a path (256 characters)"], id="a long name"
        ),
        pytest.param(
            'locations:\n  - {name: "a\\n", module: x}',
            [r"line 2: locations[0].name: must be letters, digits, `_`, `.` and `-`, at most 100 of them, got 'a\n'"],
            id="a name with a line break at its end",
        ),
        pytest.param(
            "executor: {max_concurrent_steps: 0x}",
            ["line 1: executor.max_concurrent_steps: must be a whole number, got '0x'"],
            id="half a number",
        ),
        pytest.param(
            "executor: {max_concurrent_steps: 1.50}",
            ["line 1: executor.max_concurrent_steps: must be a whole number, got 1.50"],
            id="as it was typed",
        ),
        pytest.param(
            "run_queue: {max_concurrent_runs: yes}",
            ["line 1: run_queue.max_concurrent_runs: must be a whole number, got 'yes'"],
            id="yes is text",
        ),
    ],
)
def test_a_problem_is_named_with_its_line(file, text, said):
    assert list(problems(file(text))) == said


def test_all_problems_are_told_at_once_in_the_order_of_the_file(file):
    said = problems(
        file("nonsense: 1\nlocations:\n  - name: 'a b'\n    module: x\nexecutor: {max_concurrent_steps: x}")
    )
    assert [problem.split(":")[0] for problem in said] == ["line 1", "line 3", "line 5"]


def test_text_is_what_was_typed(file):
    settings = load_settings(
        file("""
state_dir: 0123
locations:
  - name: 2020-12-30
    module: no
    env: {A: 01234, B: 1.10, C: no, D: 12:30, E: 1e3, F: 0x10, G: 2020-12-30 00:00:00, H: TRUE, I: ~, J: '', K: 1_000}
run_queue: {tag_limits: [{key: on, value: 007, limit: 0o14}]}
""")
    )
    (location,) = settings.locations
    assert (settings.state_dir, location.name, location.module) == ("0123", "2020-12-30", "no")
    assert list(location.env.values()) == [
        *("01234", "1.10", "no", "12:30", "1e3", "0x10", "2020-12-30 00:00:00", "TRUE", "~", "", "1_000")
    ]
    (limit,) = settings.run_queue.tag_limits
    assert (limit.key, limit.value, limit.limit) == ("on", "007", 12)


def test_a_location_can_build_on_another(file):
    first, second = load_settings(
        file("""
locations:
  - &base {name: a, module: x, env: &env {A: 1, B: 2}}
  - {<<: *base, name: b, env: {<<: *env, B: 3}}
""")
    ).locations
    assert (first.module, second.module, second.name) == ("x", "x", "b")
    assert (first.env, second.env) == ({"A": "1", "B": "2"}, {"A": "1", "B": "3"})


def test_a_running_daemon_is_mentioned_only_when_there_is_one(file, tmp_path):
    def hint():
        with pytest.raises(ConfigError) as refused:
            load_settings(file("state_dir: here\nnonsense: 1"))
        return refused.value.hint

    assert "daemon" not in hint()
    assert "orchestrator config check" in hint()
    (tmp_path / "here").mkdir()
    lock = try_lock(tmp_path / "here" / "daemon.lock")
    assert "daemon that is running keeps the settings" in hint()
    lock.release()


# What stands in a file: words of its own, and what YAML treats specially.
_WORDS = st.sampled_from(
    ["locations", "name", "module", "env", "state_dir", "executor", "&a", "*a", "<<", "!!int", "!!timestamp", "{",
     "!!binary", "2023-02-30", "0x_", ".inf", "~root/x", "~nosuchuser", "null", "'", '"', "\\0", "\\ud800", "- ", ": ",
     "\n", "\n  ", ",", "[", "]", "{", "}", "|", ">", "%", "#", "---", "9" * 5000, "\x00", "\ud800", "é", "?"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(_WORDS | st.text(max_size=3), max_size=20).map("".join))
def test_whatever_is_in_the_file_it_is_read_or_refused(tmp_path, text):
    path = tmp_path / ".orchestrator.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = load_settings(path)
    except ConfigError:
        return
    assert "\0" not in f"{found.state_path}{[found.directory_of(one) for one in found.locations]}"


def test_what_is_no_yaml_is_refused_with_its_place(file):
    with pytest.raises(ConfigError, match=r"line 3, column \d+ is not YAML"):
        load_settings(file("locations:\n  - {name: a\n"))


@pytest.mark.parametrize("text", ["- a\n- b", "just text"])
def test_what_is_no_mapping_is_refused(file, text):
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_settings(file(text))


def test_yaml_cannot_make_objects(file):
    with pytest.raises(ConfigError, match="is not YAML"):
        load_settings(file("state_dir: !!python/object/apply:os.system ['true']"))


def test_the_nearest_file_above_is_the_workspace(tmp_path, file):
    path = file("")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_workspace(None, {}, deep) == path


def test_a_named_workspace_comes_first(tmp_path, file):
    path = file("")
    other = tmp_path / "other.yaml"
    other.write_text("")
    assert find_workspace(str(other), {"ORCHESTRATOR_WORKSPACE": str(path)}, tmp_path) == other
    assert find_workspace(None, {"ORCHESTRATOR_WORKSPACE": str(tmp_path)}, Path("/")) == path


def test_no_workspace_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError) as refused:
        find_workspace(None, {}, tmp_path)
    assert "orchestrator init" in refused.value.hint


def test_a_named_workspace_that_is_not_there_says_who_named_it(tmp_path):
    with pytest.raises(ConfigError, match="named by --workspace"):
        find_workspace(str(tmp_path / "none.yaml"), {}, tmp_path)
    with pytest.raises(ConfigError, match=r"named by \$ORCHESTRATOR_WORKSPACE"):
        find_workspace(None, {"ORCHESTRATOR_WORKSPACE": str(tmp_path / "none.yaml")}, tmp_path)
