"""Everything a person can get wrong is one clear message, the right exit code, and no trace."""

import os
import resource
import subprocess
import sys

import pytest

from tests.conftest import ORCHESTRATOR

GOOD = """
    import os
    from dataclasses import dataclass
    from orchestrator import Mode, memory_io_manager, pipeline, step

    @dataclass
    class Config:
        n: int
        name: str = "x"

    @step
    def a(config: Config) -> int:
        return config.n

    @step
    def b(value: int) -> int:
        return value

    @pipeline
    def good():
        b(a())

    @step
    def c() -> int:
        return 1

    @pipeline(modes=[Mode("dev", resources={"io_manager": memory_io_manager}), Mode("prod")])
    def two():
        b(c())

    @step
    def unpicklable():
        return lambda: None

    @pipeline
    def odd():
        unpicklable()
"""


@pytest.fixture
def good(bench):
    return bench.write(GOOD)


def refused(done, code, *said):
    assert done.code == code, done
    for text in said:
        assert text in done.out + done.err, done
    assert "Traceback" not in done.err, done
    return done


CONFIG = ("--set", "steps.a.config.n=1")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["run"], 2, ["Name a pipeline"], id="no pipeline"),
        pytest.param(["run", "goood"], 4, ["There is no pipeline 'goood'", "Did you mean good?"], id="near miss"),
        pytest.param(["run", "main/goood"], 4, ["in location 'main'", "Did you mean good?"], id="in a location"),
        pytest.param(["run", "mian/good"], 4, ["no location 'mian'", "Did you mean main?"], id="no such location"),
        pytest.param(["run", "good"], 3, ["steps.a.config.n: required, and missing"], id="config missing"),
        pytest.param(
            ["run", "good", "--set", "steps.a.config.n=ten"], 3, ["steps.a.config.n", "got 'ten'"], id="wrong type"
        ),
        pytest.param(
            ["run", "good", *CONFIG, "--set", "steps.a.config.nam=x"],
            3,
            ["steps.a.config.nam: unknown. Did you mean name?"],
            id="unknown field",
        ),
        pytest.param(
            ["run", "good", "--set", "steps.aa.config.n=1", "--set", "step.a=1"],
            3,
            ["steps.aa: there is no such step. Did you mean a?", "step: unknown", "steps.a.config.n: required"],
            id="everything at once",
        ),
        pytest.param(
            ["run", "good", "--set", "steps.a.config.n={env: NOT_SET_ANYWHERE}"],
            3,
            ["steps.a.config.n: the environment variable NOT_SET_ANYWHERE is not set"],
            id="an unset variable",
        ),
        pytest.param(["run", "good", *CONFIG, "--mode", "prd"], 3, ["no mode 'prd'", "There is: default"], id="mode"),
        pytest.param(["run", "two"], 3, ["has several modes: dev, prod", "--mode"], id="a mode must be chosen"),
        pytest.param(["run", "good", *CONFIG, "--preset", "x"], 3, ["no preset 'x'"], id="preset"),
        pytest.param(
            ["run", "good", *CONFIG, "--executor", "subproces"], 3, ["Did you mean subprocess"], id="executor"
        ),
        pytest.param(
            ["run", "good", *CONFIG, "--select", "zz"], 3, ["The selection 'zz' matches no step"], id="select"
        ),
        pytest.param(["run", "good", *CONFIG, "--select", "a->b"], 3, ["'a->b' is not a selection"], id="odd select"),
        pytest.param(["run", "good", "--set", "nonsense"], 2, ["'nonsense' sets nothing"], id="set without value"),
        pytest.param(
            ["run", "good", *CONFIG, "--set", "." + ".".join("x" * 3000) + "=1"], 2, ["sets nothing"], id="set dots"
        ),
        pytest.param(["run", "good", "--set", ".".join("x" * 3000) + "=1"], 2, ["levels deep"], id="set very deep"),
        pytest.param(["run", "good", "--set", "steps.a.config.n=true"], 3, ["got true"], id="a bool for a number"),
        pytest.param(["run", "good", "--set", "a={null: 1}"], 3, ["a: unknown"], id="set null"),
        pytest.param(["run", "good", "--set", "a={x: 1, x: 2}"], 2, ["gives x twice"], id="set twice"),
        pytest.param(["run", "good", "--set", "steps.a.config.n=\udcff"], 2, ["not UTF-8"], id="set no text"),
        pytest.param(["run", "good", "--set", "steps.a.\udcff=1"], 2, ["not UTF-8"], id="set name no text"),
        pytest.param(["run", "good", "--tag", "\udcff=a"], 2, ["not UTF-8"], id="tag no text"),
        pytest.param(["run", "\udcff"], 2, ["not UTF-8"], id="pipeline no text"),
        pytest.param(["runs", "list", "--tag", "a=\udcff"], 2, ["not UTF-8"], id="filter no text"),
        pytest.param(["asset", "show", "\udcff"], 2, ["not UTF-8"], id="asset no text"),
        pytest.param(["sql", "SELECT '\udcff'"], 2, ["not UTF-8"], id="statement no text"),
        pytest.param(["-w", "\udcff", "status"], 2, ["not UTF-8"], id="workspace no text"),
        pytest.param(["runs", "acknowledge", "last", "--note", "\ud800"], 2, ["not UTF-8"], id="half a pair no text"),
        pytest.param(["run", "good", "--config", "twice.yaml"], 3, ["line 2: steps.a: given twice"], id="file twice"),
        pytest.param(["run", "good", "--config", "bad.json"], 3, ["bad.json, line 1", "is not JSON"], id="bad JSON"),
        pytest.param(["run", "good", "--tag", "x"], 2, ["'x' is not a tag"], id="a tag without value"),
        pytest.param(["run", "good", "--tag", "orchestrator/x=1"], 2, ["is reserved"], id="a reserved tag"),
        pytest.param(
            ["run", "good", "--config", "none.yaml"], 3, ["There is no configuration file none.yaml"], id="file"
        ),
        pytest.param(["run", "good", "--config", "bad.yaml"], 3, ["bad.yaml, line 3", "is not YAML"], id="bad YAML"),
        pytest.param(["run", "good", "--config", "list.yaml"], 3, ["must be a mapping", "got a list"], id="no mapping"),
        pytest.param(["run", "two", "--mode", "dev"], 3, ["in memory", "--executor in_process"], id="memory io"),
        pytest.param(["run", "--rerun", "a", "--from-failure", "b"], 2, ["exclude each other"], id="two parents"),
        pytest.param(["run", "--rerun", "zzzz"], 4, ["There is no run 'zzzz'"], id="no such run"),
        pytest.param(["run", "good", "--bogus"], 2, ["No such option: --bogus"], id="unknown option"),
        pytest.param(["rnu"], 2, ["No such command 'rnu'", "run"], id="unknown command"),
        pytest.param(["runs", "show", "last"], 4, ["There are no runs yet"], id="last of none"),
        pytest.param(["runs", "list", "--status", "DONE"], 2, ["'DONE' is not a state of a run"], id="no such state"),
        pytest.param(["runs", "list", "--since", "lately"], 2, ["neither an age"], id="no time"),
        *(
            pytest.param([*command, text], 2, [text], id=f"{command} {text}")
            for text in ("9999-12-31T23:59Z", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00")
            for command in (
                ["schedule", "next", "--cron", "0 0 * * *", "--from"],
                ["schedule", "next", "--cron", "0 0 * * *", "--to"],
                ["schedule", "preview", "x", "--at"],
                ["simulate", "--from"],
                ["simulate", "--to"],
                ["runs", "list", "--since"],
            )
        ),
        pytest.param(["asset", "show", "x"], 4, ["There is no asset 'x'"], id="no such asset"),
        pytest.param(["asset", "show", "///"], 2, ["is not an asset key"], id="no key"),
        pytest.param(["asset", "wipe"], 2, ["Name assets, or say --all"], id="wipe nothing"),
        pytest.param(["asset", "wipe", "x", "--all"], 2, ["not both"], id="wipe both"),
        pytest.param(["sql", "DELETE FROM runs"], 2, ["DELETE is refused"], id="sql that writes"),
        pytest.param(["sql", "SELEKT 1"], 2, ["SELEKT"], id="sql that is none"),
        pytest.param(["pipeline", "show", "goood"], 4, ["Did you mean good?"], id="show"),
        pytest.param(["state", "restore", "none.duckdb", "--yes"], 5, ["There is no backup none.duckdb"], id="restore"),
        pytest.param(["init"], 4, [".orchestrator.yaml, pipelines.py are there already"], id="init twice"),
    ],
)
@pytest.mark.sample(80)
def test_a_mistake_gets_one_message_and_changes_nothing(good, arguments, code, said):
    (good.path / "bad.yaml").write_text("steps:\n  a: {config\n")
    (good.path / "list.yaml").write_text("- a\n")
    (good.path / "twice.yaml").write_text("steps: {a: {},\n  a: {}}\n")
    (good.path / "bad.json").write_text("{")
    refused(good.here(*arguments), code, *said)
    runs = good.state / "runs"
    assert not runs.exists() or list(runs.iterdir()) == []
    assert good.ledger() == []


def test_a_configuration_is_read_from_standard_input(good):
    def run(text):
        command = [*ORCHESTRATOR, "run", "good", "--config", "-", "--json"]
        return subprocess.run(command, cwd=good.path, input=text, capture_output=True, text=True)

    assert run("steps: {a: {config: {n: 01}}}").returncode == 0
    wrong = run("- x")
    assert wrong.returncode == 3
    assert "The configuration on standard input must be a mapping" in wrong.stderr


def test_a_secret_that_was_typed_is_refused_and_reaches_no_file(good):
    good.write(
        """
        from pydantic import SecretStr
        from orchestrator import pipeline, step

        @step
        def a(config: SecretStr): ...

        @pipeline
        def p():
            a()
        """,
        "secret.py",
    )
    good.settings("locations: [{name: main, file: secret.py}]")
    refused(good.here("run", "p", "--set", "steps.a.config=hunter2"), 3, "steps.a.config: is a secret", "{env: NAME}")
    assert not any(b"hunter2" in path.read_bytes() for path in good.state.rglob("*") if path.is_file())
    assert "hunter2" not in good.here("run", "p", "--set", "steps.a.config=hunter2").err


def test_an_error_is_short(good):
    done = refused(good("run", "goood"), 4)
    assert len(done.err.splitlines()) <= 3
    assert done.out == ""


def test_debug_shows_where_an_error_came_from(good):
    done = good("--debug", "run", "goood")
    assert done.code == 4
    assert "Traceback" in done.err


class TestWorkspace:
    def test_one_that_is_named_and_not_there(self, good, tmp_path):
        there = refused(
            good.here("-w", tmp_path / "none", "status"), 3, "named by --workspace", "the directory it is in"
        )
        assert "ORCHESTRATOR_WORKSPACE" not in there.err
        refused(good.here("status", ORCHESTRATOR_WORKSPACE="/none"), 3, "named by $ORCHESTRATOR_WORKSPACE")
        (good.path / "empty").mkdir()
        refused(good.here("-w", "empty", "status"), 3, "orchestrator init empty")
        refused(good.here("-w", "~nosuchuser/x", "status"), 3, "no workspace file at")
        refused(good.here("-w", "x" * 5000, "status"), 3, "cannot be looked at: File name too long")

    def test_none_at_all(self, bench):
        refused(bench("run", "x"), 3, "There is no workspace here", "orchestrator init")

    def test_one_that_is_not_yaml(self, good):
        good.settings("locations: [")
        refused(good("run", "good"), 3, "is not YAML", "line 2")

    def test_one_with_unknown_keys(self, good):
        good.settings("locations: [{name: main, fil: x}]\nstate: y")
        refused(good("run", "good"), 3, "locations[0].fil: unknown key. Did you mean file?", "state: unknown key")

    def test_one_without_locations(self, good):
        good.settings("state_dir: x")
        refused(good("run", "good"), 3, "has no locations")

    def test_one_with_an_unset_variable(self, good):
        good.settings("locations: [{name: main, file: pipelines.py, env: {A: {env: NOT_SET_ANYWHERE}}}]")
        refused(good("run", "good", *CONFIG), 3, "locations.main.env.A", "NOT_SET_ANYWHERE is not set")

    def test_one_with_an_interpreter_that_is_not_there(self, good):
        good.settings("locations: [{name: main, file: pipelines.py, python: ./no/python}]")
        refused(good("run", "good", *CONFIG), 6, "Location 'main' cannot be started", "python:")

    def test_one_whose_interpreter_lacks_this_package(self, good):
        bare = good.path / "bare"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
        good.settings("locations: [{name: main, file: pipelines.py, python: bare/bin/python}]")
        refused(
            good("run", "good", *CONFIG),
            3,
            "is not installed in the environment of",
            "bare/bin/python -m pip install /",
        )


class TestModules:
    def broken(self, bench, source, *said, code=3):
        bench.write(source)
        done = bench("run", "x")
        assert done.code == code, done
        for text in said:
            assert text in done.err, done
        return done

    def test_a_syntax_error_shows_the_line(self, bench):
        done = self.broken(bench, "def x(:\n  pass", "Location 'main' is broken", "pipelines.py", "line 1", "^")
        assert "importlib" not in done.err

    def test_a_module_that_leaves_threads_running_is_warned_of_before_anything_is_run(self, bench):
        bench.write("""
            import threading, time
            from orchestrator import pipeline, step

            threading.Thread(target=time.sleep, args=[600], daemon=True, name="poller").start()

            @step
            def nothing() -> None: ...

            @pipeline
            def empty():
                nothing()
        """)
        done = bench("config", "check").ok()
        assert "warning: Runs of location 'main' will be refused. It cannot be forked safely" in done.err
        assert "isolation: spawn" in done.err
        assert "poller" in bench.json("config", "check")["locations"][0]["fork_problem"]
        refused(bench("run", "empty"), 6, "cannot be forked safely", "poller")
        bench.settings("locations: [{name: main, file: pipelines.py, isolation: spawn}]")
        assert "forked" not in bench("config", "check").ok().err

    def test_an_exception_shows_the_users_frames_and_no_others(self, bench):
        source = "def deep():\n    return 1 / 0\n\ndeep()\n"
        done = self.broken(bench, source, "ZeroDivisionError", "line 4, in <module>", "line 2, in deep")
        assert "/orchestrator/" not in done.err
        assert "frozen importlib" not in done.err

    def test_a_module_that_is_missing_says_where_it_was_looked_for(self, bench):
        bench.settings("locations: [{name: main, module: sales.pipelines}]")
        refused(bench("run", "x"), 3, "sales.pipelines cannot be imported", str(bench.path))

    def test_a_file_that_is_missing_is_named(self, bench):
        bench.settings("locations: [{name: main, file: nothing.py}]")
        refused(bench("run", "x"), 3, "there is no file", "nothing.py")

    def test_a_missing_import_inside_the_module_is_the_users_own(self, bench):
        self.broken(bench, "import does_not_exist", "No module named 'does_not_exist'", "pipelines.py")

    def test_a_module_that_exits_is_broken(self, bench):
        self.broken(bench, "raise SystemExit('enough')", "SystemExit: enough")

    def test_a_module_that_ends_the_process_is_named_with_its_exit_code(self, bench):
        bench.write("import os\nprint('last words', flush=True)\nos._exit(7)")
        refused(bench("run", "x"), 6, "ended with exit code 7", "while its module was imported")

    def test_a_definition_error_names_the_definition_the_line_and_the_remedy(self, bench):
        bench.write("""
            from orchestrator import pipeline, step

            @step
            def a():
                return 1

            @pipeline
            def p():
                a(nothing=a())
        """)
        done = bench("run", "p")
        assert done.code == 3
        said = "Step 'a_2' of pipeline 'p' (pipelines, pipelines.py:10): it has no input 'nothing'"
        assert done.err.count(said) == 1, done
        assert "line 10, in p" in done.err

    def test_one_broken_location_does_not_keep_another_from_running(self, good):
        good.write("1 / 0", "broken.py")
        good.settings("locations: [{name: main, file: pipelines.py}, {name: bad, file: broken.py}]")
        good("run", "good", *CONFIG).ok()

    def test_who_names_the_location_waits_for_no_other(self, good):
        good.write("open('ledger', 'a').write('imported ')", "other.py")
        good.settings("locations: [{name: main, file: pipelines.py}, {name: other, file: other.py}]")
        good("run", "main/good", *CONFIG).ok()
        assert good.ledger() == []
        good("run", "good", *CONFIG).ok()
        assert good.ledger() == ["imported"]

    def test_a_pipeline_in_two_locations_has_to_be_told_apart(self, good):
        good.settings("locations: [{name: one, file: pipelines.py}, {name: other, file: pipelines.py}]")
        refused(good("run", "good", *CONFIG), 4, "Several locations have a pipeline 'good'", "one/good and other/good")
        good("run", "other/good", *CONFIG).ok()


class TestState:
    def test_a_directory_that_cannot_be_written(self, good):
        good.settings("state_dir: /proc/state\nlocations: [{name: main, file: pipelines.py}]")
        refused(good("run", "good", *CONFIG), 5, "/proc/state")

    def test_a_file_in_its_place(self, good):
        good.state.write_text("")
        refused(good("run", "good", *CONFIG), 5, "cannot be used")

    def test_a_newer_layout(self, good):
        good("run", "good", *CONFIG).ok()
        (good.state / "format.json").write_text('{"format": 2}')
        refused(good("run", "good", *CONFIG), 5, "newer version")
        refused(good.here("runs", "list"), 5, "newer version")

    def test_somebody_elses_directory(self, good):
        good.state.mkdir()
        (good.state / "photo.jpg").touch()
        refused(good("run", "good", *CONFIG), 5, "is no state directory, and is not empty")

    @pytest.mark.long
    def test_a_database_that_another_program_holds_is_named_and_runs_go_on(self, good):
        good("run", "good", *CONFIG).ok()
        good.here("runs", "list").ok()
        hold = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
        holder = subprocess.Popen(
            [sys.executable, "-c", hold, good.state / "state.duckdb"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            holder.stdout.readline()
            good("run", "good", *CONFIG).ok()
            refused(good.here("runs", "list"), 5, "open in another program", f"process {holder.pid}")
        finally:
            holder.communicate()
        assert len(good.json("runs", "list")) == 2

    def test_a_full_disk(self, good):
        """A limit on the size of files is how a disk fills up for one process."""
        good("run", "good", *CONFIG).ok()
        done = subprocess.run(
            [*ORCHESTRATOR, "run", "good", *CONFIG],
            cwd=good.path,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        )
        assert done.returncode in (1, 5), done
        assert "Traceback" not in done.stderr, done
        good.here("state", "check").ok()


class TestOutput:
    def test_an_output_that_cannot_be_pickled_fails_its_step_in_words(self, good):
        done = good("run", "odd")
        assert done.code == 1
        assert "Output 'result' of step 'unpicklable', a function, cannot be pickled" in done.out
        assert list((good.state / "storage").rglob("*result*")) == []

    def test_bytes_that_are_no_text_are_shown_all_the_same(self, bench):
        bench.write("""
            import os
            from orchestrator import pipeline, step

            @step
            def a():
                os.write(1, b"caf\\xe9 \\x1b[2J\\x00 end\\n")

            @pipeline
            def p():
                a()
        """)
        bench("run", "p").ok()
        assert "a | caf\ufffd  end" in bench.here("runs", "logs", "last").ok().out

    def test_a_line_of_a_hundred_megabytes_is_kept_and_shown_in_part(self, bench):
        bench.write("""
            import os
            from orchestrator import pipeline, step

            @step
            def a(context):
                for _ in range(100):
                    os.write(1, b"x" * 1_000_000)
                os.write(1, b"\\nafter\\n")
                context.log.info("y" * 1_000_000)
                raise ValueError("z" * 1_000_000)

            @pipeline
            def p():
                a()
        """)
        done = bench("run", "p")
        assert done.code == 1
        assert len(done.out) < 100_000
        out = bench.here("runs", "logs", "last").ok().out
        assert "a | after" in out
        assert len(out) < 200_000
        (log,) = bench.state.glob("runs/*/steps/a/1/stdout.log")
        assert log.stat().st_size == 100_000_007

    @pytest.mark.parametrize("step", ["weird[", "../../etc", "a b", "--", "", "é"])
    @pytest.mark.sample(2)
    def test_a_step_key_with_odd_characters_is_simply_not_there(self, good, step):
        good("run", "two", "--mode", "prod").ok()
        refused(good.here("runs", "logs", "last", "--step", step), 4, "There is no step")


def test_output_that_nobody_reads_is_no_error(good):
    good("run", "two", "--mode", "prod").ok()
    done = subprocess.run(
        f"{' '.join(ORCHESTRATOR)} runs events last | head -1",
        shell=True,
        cwd=good.path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.long
def test_secrets_never_reach_the_disk_or_the_screen(good):
    secret = "hunter2-0123456789"
    good.write(
        """
        from dataclasses import dataclass
        from orchestrator import AssetMaterialization, Failure, Mode, pipeline, resource, step

        @dataclass
        class Login:
            password: str
            port: int = 1

        @resource
        def database(config: Login):
            assert config.password == "hunter2-0123456789"
            return "connected"

        @step(resources={"database"})
        def a(context, config: Login):
            assert config.password == "hunter2-0123456789"

        @step
        def quotes_it(context, config: Login) -> int:
            context.log.info("logging in with %s", config)
            context.log_asset(AssetMaterialization("a", description=config.password, metadata={"url": config.password}))
            try:
                raise KeyError(config.password)
            except KeyError as error:
                raise Failure(f"no login with {config!r}", metadata={"as": config.password}) from error

        @pipeline
        def leaky():
            quotes_it()

        @pipeline(modes=[Mode("default", resources={"database": database})])
        def p():
            a()
        """,
        "secret.py",
    )
    good.settings("locations: [{name: main, file: secret.py, env: {PASSWORD: {env: OUTER}}}]")
    sets = []
    for where in ("steps.a", "resources.database"):
        sets += ["--set", f"{where}.config.password={{env: PASSWORD}}"]
    shown = [good("run", "p", *sets, OUTER=secret).ok()]
    wrong = good("run", "p", *sets, "--set", "steps.a.config.port={env: PASSWORD}", OUTER=secret)
    assert wrong.code == 3
    leaky = good("run", "leaky", "--set", "steps.quotes_it.config.password={env: PASSWORD}", OUTER=secret)
    assert "no login with Login(password='***', port=1)" in leaky.out
    shown += [
        leaky,
        good.here("runs", "logs", "last"),
        good.here("asset", "show", "a"),
        good.here("runs", "show", "last", "--json"),
    ]
    shown += [wrong, good("config", "show", OUTER=secret).ok(), good("config", "check", OUTER=secret).ok()]
    shown += [good("runs", "events", "last", OUTER=secret), good("pipeline", "config", "p", OUTER=secret)]
    assert not any(secret in done.out + done.err for done in shown)
    files = [path for path in good.state.rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files)


def test_nothing_listens_on_the_network(good):
    good.write(
        """
        import os
        from orchestrator import pipeline, step

        @step
        def look():
            mine = set()
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.readlink(f"/proc/{pid}/cwd") == os.getcwd():
                        mine |= {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
                except OSError:
                    pass
            for table in ("tcp", "tcp6", "udp", "udp6"):
                for line in open(f"/proc/net/{table}").readlines()[1:]:
                    assert f"socket:[{line.split()[9]}]" not in mine, line

        @pipeline
        def p():
            look()
    """,
        "net.py",
    )
    good.settings("locations: [{name: main, file: net.py}]")
    good("run", "p").ok()


@pytest.mark.long
def test_reading_a_run_directory_never_executes_anything(good):
    """A value that does harm when it is unpickled lies where values lie; only its own IO manager may open it."""
    good("run", "two", "--mode", "prod").ok()
    trap = b"cos\nsystem\n(S'touch trapped'\ntR."
    for path in good.state.glob("storage/*/*/result"):
        path.write_bytes(trap)
    (run,) = (good.state / "runs").iterdir()
    (run / "steps" / "c" / "1" / "events.pickle").write_bytes(trap)
    for command in (["runs", "show", "last"], ["runs", "events", "last"], ["state", "rebuild"], ["state", "check"]):
        good(*command).ok()
    assert not os.path.exists(good.path / "trapped")
