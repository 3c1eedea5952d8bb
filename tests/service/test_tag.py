"""Our own tag in a real browser, against the service and a real Kafka."""

import json
from typing import Any

from browsing import messages, put
from playwright.sync_api import Page
from running import WRITE, Service, Topic
from waiting import until

QUEUES = "Object.keys(localStorage).filter(name => name.startsWith('usher.queue.'))"
KEPT = f"{QUEUES}.flatMap(name => JSON.parse(localStorage.getItem(name)).messages)"


def tagged(service: Service, html: str = "", **data: str) -> str:
    attributes = "".join(f' data-{name}="{value}"' for name, value in data.items())
    return f'{html}<script{attributes} src="{service.url}/v1/tag.js?key={WRITE}"></script>'


def refuse(page: Page, status: int = 503) -> list[str]:
    """The page's batches are refused from now on; what it tried to send."""
    tried: list[str] = []

    def answer(route: Any) -> None:
        tried.append(route.request.post_data)
        route.fulfill(status=status, headers={"Retry-After": "1", "Access-Control-Allow-Origin": "*"})

    page.route("**/v1/batch", answer)
    return tried


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {message["messageId"] for message in found}


def test_our_tag(service: Service, events: Topic, site: str, page: Page) -> None:
    button = """<button data-usher-click="Content Clicked" data-usher-content-id="welcome"
      data-usher-slot="welcome_message"><b>Go</b></button><a href="#">unmarked</a>"""
    page.goto(put(site, "tag.html", tagged(service, button)))
    page.click("b")
    page.click("a")
    page.evaluate("usher.identify('hopper', {plan: 'free'}); usher.consent({personalization: true})")
    page.evaluate("usher.track('Feature Used', {feature: 'reports'})")
    found = messages(events, 5)
    by_event = {message.get("event", message["type"]): message for message in found}
    assert set(by_event) == {"page", "Content Clicked", "identify", "Consent Changed", "Feature Used"}
    clicked = by_event["Content Clicked"]
    assert clicked["properties"] == {"content_id": "welcome", "slot": "welcome_message"}
    assert "userId" not in clicked and by_event["Feature Used"]["userId"] == "hopper"
    assert len({message["anonymousId"] for message in found}) == 1
    assert by_event["Feature Used"]["context"]["consent"] == {"categoryPreferences": {"personalization": True}}
    assert by_event["page"]["context"]["page"]["title"] == "Start"

    page.goto("about:blank")
    [left] = messages(events, 1)
    assert left["event"] == "Page Looked At", "sent by sendBeacon while the page went away"
    assert left["properties"]["dwell_ms"] > 0


def test_our_tag_sends_again(service: Service, events: Topic, site: str, page: Page) -> None:
    """What fails is kept, over a reload too, and sent once the service answers."""
    refused: list[str] = []

    def refuse(route: Any) -> None:
        refused.append(route.request.post_data)
        if len(refused) == 1:
            route.abort()
        else:
            route.fulfill(status=503, headers={"Retry-After": "1", "Access-Control-Allow-Origin": "*"})

    page.route("**/v1/batch", refuse)
    page.goto(put(site, "again.html", tagged(service)))
    page.evaluate("usher.track('Kept', {n: 1})")
    until(lambda: page.evaluate("1") and len(refused) >= 2, 30, "two refusals")
    kept = page.evaluate(KEPT)
    page.unroute("**/v1/batch")
    assert ids(messages(events, 2)) == ids(kept)
    until(lambda: page.evaluate(QUEUES) == [], 10, "the queue to be empty")
    assert events.silent()


def test_what_a_page_leaves_the_next_one_sends(service: Service, events: Topic, site: str, page: Page) -> None:
    """sendBeacon fails too, as without a network; then the page is loaded again."""
    page.add_init_script("navigator.sendBeacon = () => false")
    tried = refuse(page)
    page.goto(put(site, "left.html", tagged(service)))
    page.evaluate("usher.track('Left', {n: 1})")
    until(lambda: page.evaluate("1") and tried, 30, "a refusal")
    left = page.evaluate(KEPT)
    page.unroute("**/v1/batch")
    page.reload()
    found = messages(events, 4)  # with the dwell time of the first page and the view of the second
    assert ids(left) < ids(found)
    assert sorted(message.get("event", "page") for message in found) == ["Left", "Page Looked At", "page", "page"]
    until(lambda: page.evaluate(QUEUES) == [], 10, "the queue to be empty")


def test_tabs_do_not_overwrite_each_other(service: Service, events: Topic, site: str, page: Page) -> None:
    other = page.context.new_page()
    address = put(site, "tabs.html", tagged(service))
    tabs = [page, other]
    tried = [refuse(tab) for tab in tabs]
    for number, tab in enumerate(tabs):
        tab.goto(address)
        tab.evaluate(f"usher.track('Tab', {{n: {number}}})")
    until(lambda: all(tab.evaluate("1") for tab in tabs) and all(tried), 30, "both to be refused")
    page.evaluate("usher.track('Tab', {n: 2})")
    kept = page.evaluate(KEPT)
    assert len(page.evaluate(QUEUES)) == 2
    assert sorted(message["properties"]["n"] for message in kept if message["type"] == "track") == [0, 1, 2]
    for tab in tabs:
        tab.unroute("**/v1/batch")
    assert ids(messages(events, 5)) == ids(kept)
    assert events.silent(), "a tab that is there sends its own"


def test_the_queue_of_a_tab_that_is_gone_is_adopted(service: Service, events: Topic, site: str, page: Page) -> None:
    """A browser that was killed said nothing; three minutes without a sign of life are enough."""
    message = {"messageId": "orphan", "type": "track", "event": "E", "anonymousId": "a"}
    address = put(site, "orphans.html", tagged(service))
    page.goto(put(site, "plain.html", ""))
    for name, minutes in (("gone", 4), ("alive", 1)):
        value = {"messages": [message | {"messageId": name}]}
        page.evaluate(
            "([name, value, at]) => localStorage.setItem(`usher.queue.${name}`, JSON.stringify({...value, at}))",
            [name, value, page.evaluate("Date.now()") - minutes * 60_000],
        )
    page.goto(address)
    found = messages(events, 2)
    assert "gone" in ids(found) and "alive" not in ids(found)
    until(lambda: page.evaluate(QUEUES) == ["usher.queue.alive"], 10, "the queue to be empty")
    assert events.silent()


def test_a_batch_that_is_too_large_is_halved(service: Service, events: Topic, site: str, page: Page) -> None:
    """As by a proxy with a limit of its own; only a message that is too large by itself is given up."""
    sizes: list[int] = []

    def proxy(route: Any) -> None:
        batch = json.loads(route.request.post_data)["batch"]
        sizes.append(len(batch))
        if len(route.request.post_data) > 4_000:
            route.fulfill(status=413, headers={"Access-Control-Allow-Origin": "*"})
        else:
            route.continue_()

    page.route("**/v1/batch", proxy)
    page.goto(put(site, "large.html", tagged(service)))
    page.evaluate("for (let n = 0; n < 39; n++) usher.track('Small', {n: n})")
    page.evaluate("usher.track('Large', {blob: 'x'.repeat(5000)})")
    until(lambda: page.evaluate(QUEUES) == [], 60, "the queue to be empty")
    found = messages(events, 40)  # the page view is one of them
    assert sorted(m["properties"]["n"] for m in found if m.get("event") == "Small") == [*range(39)]
    assert max(sizes) > 20 and 1 in sizes
    assert events.silent()


# --- consent


def test_nothing_is_stored_or_sent_before_consent(service: Service, events: Topic, site: str, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    button = '<button data-usher-click="Content Clicked">Go</button>'
    page.goto(put(site, "wait.html", tagged(service, button, consent="wait")))
    page.click("button")
    page.evaluate("usher.identify('turing'); usher.consent({personalization: false}); usher.track('Before', {})")
    page.wait_for_timeout(2500)
    assert not [url for url in asked if "/v1/batch" in url]
    assert page.evaluate("[Object.keys(localStorage).length, document.cookie]") == [0, ""]

    page.evaluate("usher.consent({personalization: true})")
    found = messages(events, 2)
    assert [message["event"] for message in found] == ["Before", "Consent Changed"], "what came before the no is gone"
    given = {"categoryPreferences": {"personalization": True}}
    assert [message["context"]["consent"] for message in found] == [given, given]
    assert len({message["anonymousId"] for message in found}) == 1
    assert page.evaluate("localStorage.getItem('usher.anonymousId')") is not None

    page.reload()
    assert "page" in {message["type"] for message in messages(events, 2)}, "the yes is remembered"


def test_a_withdrawal_is_sent_and_then_nothing_more(service: Service, events: Topic, site: str, page: Page) -> None:
    page.goto(put(site, "withdraw.html", tagged(service, consent="wait")))
    page.evaluate("usher.consent({personalization: true})")
    first = messages(events, 2)
    page.evaluate("usher.consent({personalization: false}); usher.track('After', {})")
    [last] = messages(events, 1)
    assert last["context"]["consent"] == {"categoryPreferences": {"personalization": False}}
    assert last["anonymousId"] == first[0]["anonymousId"], "so that the stream knows whom to forget"
    assert page.evaluate("localStorage.getItem('usher.anonymousId')") is None
    page.goto("about:blank")
    assert events.silent()
