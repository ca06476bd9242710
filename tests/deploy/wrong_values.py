"""Values that the chart's schema refuses: the values, where, and what Helm says."""

WRONG = [
    ({"imgae": {}}, "/", "additional properties 'imgae' not allowed"),
    ({"image": {"tag": 1.1}}, "/image/tag", "got number, want string"),
    (
        {"image": {"pullPolicy": "Sometimes"}},
        "/image/pullPolicy",
        "value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    ({"image": {"digest": "sha256:12"}}, "/image/digest", "does not match pattern"),
    ({"imagePullSecrets": ["registry"]}, "/imagePullSecrets/0", "got string, want object"),
    ({"workspace": {"state_dir": "/data"}}, "/workspace", "additional properties 'state_dir' not allowed"),
    ({"workspace": {"locations": [{"module": "m"}]}}, "/workspace/locations/0", "missing property 'name'"),
    (
        {"workspace": {"locations": [{"name": "a", "modul": "m"}]}},
        "/workspace/locations/0",
        "additional properties 'modul' not allowed",
    ),
    (
        {"workspace": {"kubernetes": {"max_jobs": 1}}},
        "/workspace/kubernetes",
        "additional properties 'max_jobs' not allowed",
    ),
    (
        {"workspace": {"kubernetes": {"max_concurrent_jobs": 0}}},
        "/workspace/kubernetes/max_concurrent_jobs",
        "minimum: got 0, want 1",
    ),
    ({"envFrom": [{"secretRef": {}}]}, "/envFrom/0/secretRef", "missing property 'name'"),
    ({"state": {"size": "10 GB"}}, "/state/size", "does not match pattern"),
    ({"state": {"mount": "state"}}, "/state/mount", "does not match pattern '^/'"),
    ({"storage": {"accessModes": []}}, "/storage/accessModes", "minItems: got 0, want 1"),
    ({"daemon": {"onStop": "kill"}}, "/daemon/onStop", "value must be one of 'leave', 'drain'"),
    ({"daemon": {"replicas": 2}}, "/daemon", "additional properties 'replicas' not allowed"),
    (
        {"daemon": {"livenessProbe": {"timeoutSeconds": 1}}},
        "/daemon/livenessProbe/timeoutSeconds",
        "minimum: got 1, want 7",
    ),
    ({"podDisruptionBudget": {"maxUnavailable": 2}}, "/podDisruptionBudget/maxUnavailable", "maximum: got 2, want 1"),
    (
        {"networkPolicy": {"apiServer": {"ports": [70000]}}},
        "/networkPolicy/apiServer/ports/0",
        "maximum: got 70,000, want 65,535",
    ),
    ({"backup": {"schedule": "daily"}}, "/backup/schedule", "does not match pattern"),
    ({"backup": {"keep": 0}}, "/backup/keep", "minimum: got 0, want 1"),
]
