"""What is wrong with a cluster, its credentials or a pod is said in one line, and leaves nothing behind."""

import http.server
import json
import threading

import pytest
import yaml

PIPELINES = """
    from orchestrator import Pod, pipeline, step

    @step
    def plain() -> None: ...

    @step(pod=Pod(spec={"containers": [{"name": "step", "imagePullPolcy": "Always"}], "nodeSelektor": {"a": "b"}}))
    def misspelled() -> None: ...

    @step(pod=Pod(image="Not An Image"))
    def misnamed() -> None: ...

    @pipeline
    def is_plain():
        plain()

    @pipeline
    def is_misspelled():
        misspelled()

    @pipeline
    def has_no_image():
        misnamed()
"""


def kubeconfig(work, **changes):
    """A kubeconfig as the cluster's, but for the server or the user."""
    content = yaml.safe_load(work.cluster.kubeconfig.read_text())
    content["clusters"][0]["cluster"] |= changes.get("cluster", {})
    content["users"][0]["user"] = changes.get("user", content["users"][0]["user"])
    path = work.path / "other-kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def said(work, *arguments):
    """A command to its end: its exit code and the lines it printed."""
    code, printed = work.finish(*arguments)
    print(f"$ {' '.join(arguments)} -> {code}\n{printed}")
    return code, printed


def the_line(printed, *words):
    """The one line that holds all these words."""
    (line,) = {line.strip() for line in printed.splitlines() if all(word in line for word in words)}
    return line


class Html(http.server.BaseHTTPRequestHandler):
    """Answers everything as a proxy does that wants a login."""

    def do_GET(self):
        content = b"<html><body>Please log in</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture
def proxy():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Html)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_13_without_a_kubeconfig_it_is_said_where_one_was_looked_for(work):
    work.environment = {"KUBECONFIG": str(work.path / "absent")}
    for command in (("kubernetes", "check"), ("run", "is_plain")):
        code, printed = said(work, *command)
        assert code == 3
        assert the_line(printed, "No Kubernetes cluster is configured")
        assert str(work.path / "absent") in printed


def test_13_a_context_that_does_not_exist_is_named_with_those_that_do(work):
    work.write(context="production")
    for command in (("kubernetes", "check"), ("run", "is_plain")):
        code, printed = said(work, *command)
        assert code == 3
        assert the_line(printed, "has no context 'production'")
        assert "local" in printed


def test_13_a_wrong_token_is_said_by_check(work):
    work.environment = {"KUBECONFIG": kubeconfig(work, user={"token": "wrong"})}
    code, printed = said(work, "kubernetes", "check")
    assert code == 1
    assert the_line(printed, "does not accept the credentials (HTTP 401)")
    assert "wrong, expired or revoked" in printed


def test_13_a_server_that_answers_html_is_said_by_check(work, proxy):
    work.environment = {"KUBECONFIG": kubeconfig(work, cluster={"server": proxy})}
    code, printed = said(work, "kubernetes", "check")
    assert code == 1
    assert the_line(printed, proxy, "is not an API server (HTTP 200): <html><body>Please log in")
    assert "no API server of Kubernetes" in printed


def test_13_a_certificate_of_another_authority_is_said_by_check(work):
    work.environment = {"KUBECONFIG": kubeconfig(work, cluster={"certificate-authority-data": None})}
    code, printed = said(work, "kubernetes", "check")
    assert code == 1
    assert the_line(printed, "cannot be used", "certificate verify failed")


@pytest.mark.parametrize("wrong", ["token", "server"])
def test_13_a_run_says_in_an_event_that_the_cluster_cannot_be_used(work, proxy, wrong):
    changes = {"user": {"token": "wrong"}} if wrong == "token" else {"cluster": {"server": proxy}}
    work.environment = {"KUBECONFIG": kubeconfig(work, **changes)}
    owner = work.start("run", "is_plain")
    work.until(lambda: work.bench.state.exists() and "attempt_launched" in work.kinds(), "a Job to be wanted")
    work.patience_s = 10
    try:
        work.until(work.waited, "what it waits for")
    finally:
        owner.kill()


def account_that_may(work, **rules):
    """A kubeconfig of a service account that may do this: verbs by resource."""
    kubectl, account = work.cluster.kubectl, f"{work.namespace}:limited"
    kubectl("create", "serviceaccount", "limited", "-n", work.namespace)
    for resource, verbs in rules.items():
        for kind, name in (("role", resource), ("rolebinding", resource)):
            more = [f"--verb={verbs}", f"--resource={resource}"] if kind == "role" else [f"--role={resource}"]
            more += [f"--serviceaccount={account}"] if kind == "rolebinding" else []
            kubectl("create", kind, name, "-n", work.namespace, *more)
    return kubeconfig(work, user={"token": kubectl("create", "token", "limited", "-n", work.namespace).strip()})


def test_13_what_is_not_allowed_is_listed_by_check_with_verb_and_resource(work):
    work.environment = {"KUBECONFIG": account_that_may(work, pods="get,list,watch", secrets="create,delete")}
    code, printed = said(work, "kubernetes", "check")
    assert code == 1
    line = the_line(printed, f"not allowed in {work.namespace}")
    assert "create jobs" in line
    assert "delete pods" in line
    assert "create secrets" not in line


def test_13_a_run_that_may_not_create_jobs_is_refused_with_verb_and_resource(work):
    rules = {"pods": "get,list,watch,delete", "secrets": "create,delete", "events": "list,watch"}
    work.environment = {"KUBECONFIG": account_that_may(work, **rules)}
    code, printed = said(work, "run", "is_plain")
    assert code == 3
    assert 'cannot create resource "jobs" in API group "batch"' in printed
    assert json.loads(work("runs", "list", "--json").out) == []
    work.until_nothing_is_left()


def test_13_a_pod_with_fields_that_do_not_exist_is_refused_before_there_is_a_run(work):
    code, printed = said(work, "run", "is_misspelled")
    assert code == 3
    for path in ("spec.template.spec.nodeSelektor", "spec.template.spec.containers[0].imagePullPolcy"):
        assert path in printed
    assert json.loads(work("runs", "list", "--json").out) == []
    work.until_nothing_is_left()


def test_13_an_image_whose_name_is_none_is_said(work):
    code, printed = said(work, "run", "has_no_image")
    assert code == 1
    for word in ("InvalidImageName", "Not An Image"):
        assert word in printed
    assert work.kinds().count("attempt_launched") == 1


def test_13_a_namespace_that_does_not_exist_is_named_by_a_run(work):
    work.write()
    settings = (work.path / ".orchestrator.yaml").read_text()
    work.bench.settings(settings.replace(f"namespace: {work.namespace}", "namespace: not-there"))
    code, printed = said(work, "run", "is_plain")
    assert code == 3
    assert 'namespaces "not-there" not found' in printed


def test_13_a_namespace_that_does_not_exist_is_named_by_check(work):
    settings = (work.path / ".orchestrator.yaml").read_text()
    work.bench.settings(settings.replace(f"namespace: {work.namespace}", "namespace: not-there"))
    code, printed = said(work, "kubernetes", "check")
    assert code == 1
    assert "not-there" in the_line(printed, "does not exist")
