"""Resources are what steps need and should not create themselves; modes say what they are this time."""

from dataclasses import dataclass

from orchestrator import Mode, StepContext, pipeline, resource, step


@dataclass
class Address:
    url: str = "db://localhost"


class Database:
    def __init__(self, url):
        self.url = url
        self.is_open = True

    def rows(self):
        return ["Ada", "Grace"]

    def close(self):
        self.is_open = False


@resource
def database(config: Address):
    """A resource may be configured, and may yield: what comes after the `yield` runs when the step is over."""
    connection = Database(config.url)
    yield connection
    connection.close()


@step(resources={"database"})
def count_people(context: StepContext) -> int:
    context.log.info("asking %s", context.resources.database.url)
    return len(context.resources.database.rows())


class FakeDatabase(Database):
    def rows(self):
        return ["nobody"]


@pipeline(
    modes=[
        Mode("prod", resources={"database": database}),
        Mode("test", resources={"database": FakeDatabase("none")}),
    ]
)
def census():
    count_people()


def test_a_mode_says_what_each_resource_is():
    """A step names the resources it needs, and finds them on its context. What stands behind a name is up to the mode:
    the step does not change between a test and production. An object that is no resource is used as it is."""
    assert census.execute_in_process(mode="prod").output("count_people") == 2
    assert census.execute_in_process(mode="test").output("count_people") == 1


def test_a_resource_is_closed_when_its_step_is_over():
    """Whatever happens in the step: resources are torn down in the reverse of the order in which they were made."""
    opened = []

    @resource
    def watched():
        opened.append(Database("db://watched"))
        yield opened[-1]
        opened[-1].close()

    @step(resources={"database"})
    def breaks(context):
        raise ValueError("in the middle of it")

    @pipeline(modes=[Mode("default", resources={"database": watched})])
    def broken():
        breaks()

    assert not broken.execute_in_process().success
    assert [connection.is_open for connection in opened] == [False]


def test_a_resource_may_need_other_resources():
    """They are named in the same way, and made first."""

    @resource
    def vault():
        return {"password": "open sesame"}

    @resource(resources={"vault"})
    def safe_database(context):
        return Database(f"db://{context.resources.vault['password']}")

    @step(resources={"database"})
    def where(context) -> str:
        return context.resources.database.url

    @pipeline(modes=[Mode("default", resources={"database": safe_database, "vault": vault})])
    def secured():
        where()

    assert secured.execute_in_process().output("where") == "db://open sesame"


def test_a_resource_can_be_replaced_for_one_run():
    """Without a mode of its own: give `execute_in_process` the objects to use instead."""
    result = census.execute_in_process(mode="prod", resources={"database": FakeDatabase("none")})
    assert result.output("count_people") == 1
