"""static/deepspace/js/live.js in a real browser, against the running server."""

import uuid

import pytest
from playwright.sync_api import Page

from accounts_app.tenancy.context import bound
from gateway_app.services.streams import StreamPublisher, stream_open
from tests.support.accounts import Account
from tests.support.browser import Visitor, eventually
from tests.support.stack import Stack

pytestmark = pytest.mark.browser

LISTEN = """async (path) => {
    const { connect, TextAssembler } = await import("/static/deepspace/js/live.js");
    const seen = { seqs: [], states: [], text: new TextAssembler() };
    window.seen = seen;
    window.connection = connect(path, {
        onEvent: (event) => { seen.seqs.push(event.seq); seen.text.apply(event); },
        onState: (state) => seen.states.push(state),
    });
}"""


def _publisher(account: Account) -> StreamPublisher:
    with bound(account.tenant):
        return StreamPublisher(stream_open(kind="run", subject_id=uuid.uuid4()))


def _listen(somebody: Visitor, page: Page, stream_id: uuid.UUID) -> None:
    page.goto(f"{somebody.base_url}/wallet/")
    page.evaluate(LISTEN, f"/ws/streams/{stream_id}/")


def _text(page: Page) -> str:
    return str(page.evaluate("() => window.seen.text.text('draft')"))


def _states(page: Page) -> list[str]:
    states: list[str] = page.evaluate("() => window.seen.states")
    return states


@pytest.fixture
def publisher(somebody: Visitor, tenant_with_money: Account) -> StreamPublisher:
    somebody.be(tenant_with_money)
    return _publisher(tenant_with_money)


def test_words_arrive_as_they_are_published(somebody: Visitor, page: Page, publisher: StreamPublisher) -> None:
    publisher.delta("draft", "你好")
    _listen(somebody, page, publisher.stream_id)
    eventually(lambda: _text(page) == "你好", page)
    publisher.delta("draft", " 👩‍👩‍👧 world")
    eventually(lambda: _text(page) == "你好 👩‍👩‍👧 world", page)
    publisher.restart("draft")
    publisher.delta("draft", "anew")
    publisher.close({})
    eventually(lambda: _states(page)[-1] == "ended", page)
    assert _text(page) == "anew"
    assert _states(page) == ["connecting", "live", "ended"]


def test_a_server_that_dies_in_the_middle_costs_no_word(
    stack: Stack, somebody: Visitor, page: Page, publisher: StreamPublisher
) -> None:
    publisher.delta("draft", "before ")
    _listen(somebody, page, publisher.stream_id)
    eventually(lambda: _text(page) == "before ", page)
    # The page's own requests may meet the dead server too.
    with somebody.expecting("WebSocket connection", "htmx:", "net::ERR_CONNECTION_REFUSED"):
        stack.web.kill9()
        publisher.delta("draft", "meanwhile ")
        eventually(lambda: "reconnecting" in _states(page), page)
        stack.restart_web()
        eventually(lambda: _text(page) == "before meanwhile ", page)
        publisher.delta("draft", "after")
        publisher.close({})
        eventually(lambda: _states(page)[-1] == "ended", page)
    assert _text(page) == "before meanwhile after"
    seqs = page.evaluate("() => window.seen.seqs")
    assert seqs == sorted(set(seqs))


def test_a_stream_of_somebody_else_is_refused_for_good(
    somebody: Visitor, page: Page, publisher: StreamPublisher
) -> None:
    _listen(somebody, page, uuid.uuid4())
    eventually(lambda: _states(page)[-1] == "refused", page)


def test_offsets_count_characters_as_people_do(somebody: Visitor, page: Page, publisher: StreamPublisher) -> None:
    """A merged delta that begins inside what is known replaces from there, also behind astral characters."""
    _listen(somebody, page, publisher.stream_id)
    text = page.evaluate("""() => {
        const delta = (offset, text) => ({ type: "delta", data: { step: "s", offset, text } });
        const assembler = window.seen.text;
        [delta(0, "𝒳😀"), delta(2, "b"), delta(1, "😀bc"), delta(0, "𝒳😀bcd")].forEach((e) => assembler.apply(e));
        return assembler.text("s");
    }""")
    assert text == "𝒳😀bcd"
