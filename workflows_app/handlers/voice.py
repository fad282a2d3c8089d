from workflows_app.contracts import StepContext


class Voice:
    """Sends a step's text to the stream as it is written, and sees to it that the stream ends with the true one."""

    def __init__(self, ctx: StepContext) -> None:
        self._publisher = ctx.publisher
        self._step = ctx.step_key
        self._said: list[str] = []

    def say(self, piece: str) -> None:
        """Send the next piece."""
        self._said.append(piece)
        self._publisher.delta(self._step, piece)

    def settle(self, text: str) -> None:
        """Make ``text`` what readers have: a stored answer was never said, and a cleaned one was said otherwise."""
        if "".join(self._said) == text:
            return
        if self._said:
            self._publisher.restart(self._step)
        self._said = [text]
        self._publisher.delta(self._step, text)
