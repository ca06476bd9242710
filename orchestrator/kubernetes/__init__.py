"""Runs attempts as Kubernetes Jobs: what is sent, what is seen, and what that means."""
