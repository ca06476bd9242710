"""Hooks are called after steps, to tell somebody."""

from orchestrator import HookContext, Mode, failure_hook, pipeline, step, success_hook


@failure_hook(resources={"messages"})
def tell_about_failure(context: HookContext):
    context.resources.messages.append(f"{context.step} failed: {context.error}")


@success_hook(resources={"messages"})
def tell_about_success(context: HookContext):
    context.resources.messages.append(f"{context.step} is done")


@step
def works() -> None: ...


@step
def breaks() -> None:
    raise ValueError("no space left")


def test_hooks_of_a_pipeline_are_called_for_each_of_its_steps():
    """A success hook after a step that succeeded, a failure hook after one that failed for good (not while there will
    be another try). A hook has resources like a step, and can never change what becomes of the step. Give hooks to a
    pipeline, to a step (`@step(hooks={...})`), or to one use of a step (`works.with_hooks([...])()`)."""
    messages = []

    @pipeline(hooks={tell_about_failure, tell_about_success}, modes=[Mode("default", resources={"messages": messages})])
    def told():
        works()
        breaks()

    told.execute_in_process()
    assert messages == ["works is done", "breaks failed: no space left"]
