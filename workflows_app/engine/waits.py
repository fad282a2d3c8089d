"""Steps and pauses that no handler does: a moment, a signal, a person's approval, other runs, a free slot.

``wait`` of a run is ``{kind, step?, …}``; kinds: timer, signal, approval, children, retry, slot. Each has a function
that parks the run and one that decides, when it is taken up again, what came of it.
"""

from typing import Any

from django.utils.translation import gettext as _

from accounts_app.ids import uuid7
from workflows_app.contracts import Json, StepSpec
from workflows_app.engine.machine import PARKING, WAKING, Machine
from workflows_app.services.conditions import expression_value

WAIT, APPROVE, CHILD = "wait", "approve", "workflow/run"
APPROVED = "approve"


def park_wait(machine: Machine, step: StepSpec) -> None:
    """``wait``: for a signal, so many seconds, or until a moment (an expression that gives an RFC 3339 time)."""
    params = step.params
    if "signal" in params:
        machine.park("signal", signal=params["signal"], due_in=params.get("timeout"))
        wake_signal(machine, machine.state.wait or {})
    elif "until" in params:
        machine.park("timer", due_at=str(expression_value(params["until"], machine.values())))
    else:
        machine.park("timer", due_in=float(params["seconds"]))


def park_approve(machine: Machine, step: StepSpec) -> None:
    """``approve``: until a person has said yes or no."""
    params = step.params
    machine.park("approval", signal=APPROVED, message=params.get("message", ""), due_in=params.get("timeout"))
    wake_approval(machine, machine.state.wait or {})


def park_child(machine: Machine, step: StepSpec) -> None:
    """``workflow/run``: until another workflow has ended, which gets ``params.input`` or the whole context."""
    given = step.params.get("input")
    handed = {**machine.state.context} if given is None else given
    path, into = machine.state.path(step), step.params.get("into", "")
    called: Json = {"template": step.template, "input": handed, "into": into}
    machine.park("children", total=1, round=str(uuid7()), path=path, **called)
    machine.spawn(0)


def wake_timer(machine: Machine, _wait: Json) -> None:
    """The moment has come."""
    if machine.asked.due:
        machine.done({}, {})


def wake_again(machine: Machine, _wait: Json) -> None:
    """The pause is over, or a slot may be free: the step is begun, or has to wait once more."""
    machine.emit("wait.over")


def wake_signal(machine: Machine, wait: Json) -> None:
    """Take the first signal of the name that is waited for; or give up when the time is over."""
    found = next((item for item in machine.state.signals if item["name"] == wait["signal"]), None)
    if found is not None:
        machine.done({"signal": found["name"], "data": found["data"]}, {"signal": found["data"]}, signal=found["name"])
    elif machine.asked.due:
        machine.not_done({"code": "wait_timeout", "message": _("What this step waited for did not come in time.")})


def wake_approval(machine: Machine, wait: Json) -> None:
    """A yes goes on; a no, or nothing in time, fails the step."""
    found = next((item for item in machine.state.signals if item["name"] == APPROVED), None)
    if found is None:
        wake_signal(machine, wait)
        return
    answer: dict[str, Any] = {
        "approved": bool(found["data"].get("approved")),
        "note": found["data"].get("note", ""),
        "user_id": found.get("user_id", ""),
    }
    if answer["approved"]:
        machine.done(answer, {"approval": answer}, signal=APPROVED)
    else:
        machine.not_done({"code": "rejected", "message": answer["note"] or _("It was not approved.")}, signal=APPROVED)


def wake_children(machine: Machine, wait: Json) -> None:
    """All branches or the child have ended: gather what they left, in order."""
    if wait.get("ended", 0) < wait["total"]:
        return
    results = [wait["results"][str(branch)] for branch in range(wait["total"])]
    if "template" in wait:
        _gather_child(machine, wait, results[0])
    elif wait.get("failed"):
        machine.branches_failed(wait)
    else:
        machine.emit("stage.gathered", set={wait["into"]: results})


def _gather_child(machine: Machine, wait: Json, result: Any) -> None:
    if wait.get("failed"):
        machine.not_done(wait["error"])
        return
    machine.done({"result": result}, {wait["into"]: result} if wait["into"] else dict(result))


PARKING |= {WAIT: park_wait, APPROVE: park_approve, CHILD: park_child}
WAKING |= {
    "timer": wake_timer,
    "retry": wake_again,
    "slot": wake_again,
    "signal": wake_signal,
    "approval": wake_approval,
    "children": wake_children,
}
