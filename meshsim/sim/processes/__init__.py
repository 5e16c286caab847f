"""Processes of the world that go on while an episode runs: each has its own stream, and is off unless asked for."""
