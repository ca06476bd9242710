"""What the fake API server remembers: objects with their versions, and every change that was made to them."""

import copy
import re
import secrets
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple


class Key(NamedTuple):
    """One object. `kind` is the word that stands in its path: `jobs`, `pods`, ..."""

    kind: str
    namespace: str
    name: str


class Change(NamedTuple):
    """The object as it was after a change; of a deletion, as it was last."""

    version: int
    type: str
    key: Key
    object: Any


class Store:
    """For any thread. `changed` is notified with every change; holding it keeps others from changing anything."""

    def __init__(self):
        self.changed = threading.Condition()
        self.skew = timedelta(0)
        self.oldest = 0  # a watch from an older version is answered with 410
        self._version = 1000
        self._objects = {}
        self._log = []

    @property
    def version(self):
        with self.changed:
            return self._version

    def instant(self):
        """The time by the clock of the cluster, as objects have it."""
        return (datetime.now(UTC) + self.skew).strftime("%Y-%m-%dT%H:%M:%SZ")

    def create(self, key, item):
        """The object as it was stored; None when there is one of that name."""
        with self.changed:
            if key in self._objects:
                return None
            item = copy.deepcopy(item)
            metadata = item.setdefault("metadata", {})
            metadata |= {"name": key.name, "namespace": key.namespace, "uid": str(uuid.uuid4())}
            metadata["creationTimestamp"] = self.instant()
            return self._changed("ADDED", key, item)

    def update(self, key, change):
        """Has `change` alter the object in place; the object, or None when it is gone."""
        with self.changed:
            if key not in self._objects:
                return None
            item = copy.deepcopy(self._objects[key])
            change(item)
            return self._changed("MODIFIED", key, item)

    def delete(self, key):
        """The object as it was last, or None when it is gone already."""
        with self.changed:
            item = self._objects.pop(key, None)
            return None if item is None else self._changed("DELETED", key, copy.deepcopy(item))

    def get(self, key):
        with self.changed:
            return copy.deepcopy(self._objects.get(key))

    def items(self, kind, namespace=None):
        """What there is of a kind, by name."""
        with self.changed:
            found = {key: one for key, one in self._objects.items() if _is_of(key, kind, namespace)}
            return [copy.deepcopy(found[key]) for key in sorted(found)]

    def items_at(self, version, kind, namespace):
        """What there was of a kind at a version."""
        found = {}
        for change in self.since(0, kind, namespace):
            if change.version > version:
                break
            if change.type == "DELETED":
                found.pop(change.key, None)
            else:
                found[change.key] = change.object
        return [found[key] for key in sorted(found)]

    def owned(self, uid):
        """The keys of the objects that are deleted together with their owner."""
        with self.changed:
            return [
                key
                for key, item in self._objects.items()
                if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences") or ())
            ]

    def since(self, version, kind, namespace):
        """The changes after a version."""
        with self.changed:
            return [one for one in self._log if one.version > version and _is_of(one.key, kind, namespace)]

    def touch(self):
        """Changes every pod in nothing but its version, so that watches say something."""
        with self.changed:
            for key in [key for key in self._objects if key.kind == "pods"]:
                self.update(key, lambda _item: None)

    def restarted(self):
        """Forgets old versions, as an API server that was started again: every watch from before is too old."""
        with self.changed:
            self._version += 1000
            self.oldest = self._version
            self.changed.notify_all()

    def wait(self, version, kind, namespace, until):
        """The changes after a version, once there are any or it is that late; and the version they lead to."""
        with self.changed:
            self.changed.wait_for(lambda: self._version > version, max(0, until - time.monotonic()))
            return self.since(version, kind, namespace), self._version

    def _changed(self, kind, key, item):
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        if kind != "DELETED":
            self._objects[key] = item
        self._log.append(Change(self._version, kind, key, copy.deepcopy(item)))
        self.changed.notify_all()
        return copy.deepcopy(item)


def is_selected(item, query):
    """Whether the selectors of a query take an object. Both know equality, that of labels `notin` too."""
    labels = item["metadata"].get("labels", {})
    selector = query.get("labelSelector", "")
    for name, values in re.findall(r"([^, ]+) notin \(([^)]*)\)", selector):
        if labels.get(name) in values.split(","):
            return False
    equal = re.sub(r"[^, ]+ notin \([^)]*\)", "", selector)
    pairs = [pair.split("=", 1) for pair in equal.split(",") if pair]
    fields = [pair.split("=", 1) for pair in query.get("fieldSelector", "").split(",") if pair]
    return all(labels.get(name) == value for name, value in pairs) and all(
        str(field(item, path)) == value for path, value in fields
    )


def field(item, path):
    """What stands in an object at a path with dots; `metadata.labels['x']` is one too."""
    path, _, label = path.partition("['")
    for name in path.split("."):
        item = (item or {}).get(name)
    return (item or {}).get(label.rstrip("']")) if label else item


def suffix():
    """The end of a generated name."""
    return secrets.token_hex(3)[:5]


def _is_of(key, kind, namespace):
    return key.kind == kind and namespace in (None, key.namespace)
