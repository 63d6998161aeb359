"""Where the time of a report goes."""

from time import perf_counter


class Seconds:
    """Seconds by part, since it was made; parts follow each other, and each is named when it ends."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = perf_counter()

    def end(self, part: str) -> None:
        """What went on since the end of the part before was `part`."""
        now = perf_counter()
        self.parts[part] = self.parts.get(part, 0.0) + now - self._last
        self._last = now

    def line(self) -> str:
        """What to print."""
        each = ", ".join(f"{part} {seconds:.1f}" for part, seconds in self.parts.items())
        return f"seconds: {sum(self.parts.values()):.1f}: {each}"
