import socket
import threading

from gateway_app.services.watchdog import Watchdog


def test_a_late_answer_wakes_its_reader() -> None:
    near, far = socket.socketpair()
    with near, far, Watchdog().watch(near) as watch:
        watch.expect(0.05)
        assert near.recv(1) == b""
        assert watch.is_late


def test_a_reader_that_is_busy_is_left_alone() -> None:
    near, far = socket.socketpair()
    dog = Watchdog()
    with near, far, dog.watch(near) as watch:
        watch.expect(0.01)
        watch.pause()
        threading.Event().wait(0.2)
        far.sendall(b"x")
        assert (near.recv(1), watch.is_late) == (b"x", False)


def test_a_socket_closed_already_does_no_harm() -> None:
    near, far = socket.socketpair()
    near.close()
    far.close()
    with Watchdog().watch(near) as watch:
        watch.expect(0)
        threading.Event().wait(0.2)
        assert watch.is_late
