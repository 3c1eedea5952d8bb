"""SDKs that nobody here wrote, and our own tag in a real browser, against the service and a real Kafka."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import segment.analytics as segment
from playwright.sync_api import Page, sync_playwright
from running import READ, WRITE, Service, Topic
from waiting import until

NODE = Path(__file__).parent / "node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ANALYTICS = NODE / "node_modules/@segment/analytics-next/dist/umd"


def messages(events: Topic, count: int) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in events.records(count)]


def test_segments_python_sdk(service: Service, events: Topic) -> None:
    errors: list[Any] = []
    client = segment.Client(WRITE, host=service.url, gzip=True, on_error=lambda *error: errors.append(error))
    client.identify("ada", {"plan": "free"})
    client.track("ada", "Feature Used", {"feature": "reports"})
    client.page("ada", "docs", "Start")
    client.screen("ada", "app", "Start")
    client.group("ada", "acme")
    client.alias("anonymous-1", "ada")
    client.flush()
    client.join()
    found = {message["type"]: message for message in messages(events, 6)}
    assert not errors
    assert set(found) == {"identify", "track", "page", "screen", "group", "alias"}
    assert found["track"]["properties"] == {"feature": "reports"}
    assert found["alias"]["previousId"] == "anonymous-1"
    assert "ip" not in found["track"]["context"], "the server's address is not the user's"


def test_segments_node_sdk(service: Service, events: Topic) -> None:
    done = subprocess.run(["node", "collect.mjs", service.url, WRITE], cwd=NODE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {message["type"]: message for message in messages(events, 4)}
    assert set(found) == {"identify", "track", "page", "alias"}
    assert (found["track"]["event"], found["track"]["userId"]) == ("Signed Up", "grace")
    assert json.loads(done.stdout) == {"errors": []}


# --- in a browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site on loopback, of another origin than the service; it also serves analytics.js as npm has it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ANALYTICS, folder / "analytics")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.folder = folder  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (folder / "root").write_text(str(folder))
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert CHROMIUM, "Chromium is missing: install it (Debian and Ubuntu: chromium)."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    context = browser.new_context(locale="de-DE")
    yield context.new_page()
    context.close()


def put(site: str, name: str, html: str) -> str:
    import urllib.request

    folder = Path(urllib.request.urlopen(f"{site}/root").read().decode())
    (folder / name).write_text(f"<!doctype html><title>Start</title>{html}")
    return f"{site}/{name}"


def test_analytics_js_in_a_page(service: Service, events: Topic, site: str, page: Page) -> None:
    settings = {
        "writeKey": WRITE,
        "cdnSettings": {
            "integrations": {
                "Segment.io": {
                    "apiKey": WRITE,
                    "apiHost": service.url.removeprefix("http://") + "/v1",
                    "protocol": "http",
                }
            }
        },
    }
    html = f"""<script src="/analytics/standalone.js"></script><script>
      const settings = {json.dumps(settings)};
    </script><script src="/analytics/index.js"></script>"""
    page.goto(put(site, "analytics.html", html))
    page.evaluate("""async () => {
      const { AnalyticsBrowser } = window.AnalyticsNext || window;
      window.client = AnalyticsBrowser.load(settings, { integrations: settings.cdnSettings.integrations });
      await client.page();
      await client.identify("lovelace", { plan: "free" });
      await client.track("Feature Used", { feature: "analytics" });
    }""")
    found = {message["type"]: message for message in messages(events, 3)}
    assert set(found) == {"page", "identify", "track"}
    assert found["track"]["userId"] == "lovelace"
    assert found["track"]["anonymousId"] == found["page"]["anonymousId"]
    assert found["page"]["context"]["ip"] == "127.0.0.1" and "Chrome" in found["page"]["context"]["userAgent"]
    assert found["track"]["context"]["locale"] == "de-DE"


def tagged(service: Service, html: str = "") -> str:
    return f'{html}<script src="{service.url}/v1/tag.js?key={WRITE}"></script>'


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
    kept = json.loads(page.evaluate("localStorage.getItem('usher.queue')"))
    page.unroute("**/v1/batch")
    found = messages(events, 2)
    assert {message["messageId"] for message in found} == {message["messageId"] for message in kept}
    until(lambda: page.evaluate("localStorage.getItem('usher.queue')") == "[]", 10, "the queue to be empty")
    assert events.silent()


def test_ofrep_in_a_page(service: Service, site: str, page: Page, tmp_path: Path) -> None:
    """OpenFeature's web client asks for all slots at once, and again with the ETag."""
    bundle = tmp_path / "bundle.js"
    esbuild = ["node_modules/.bin/esbuild", "web.mjs", "--bundle", f"--outfile={bundle}", "--log-level=error"]
    subprocess.run(esbuild, cwd=NODE, check=True)
    html = f"<script>{bundle.read_text()}</script>"
    page.goto(put(site, "ofrep.html", html))
    found = page.evaluate("([url, key]) => ask(url, key)", [service.url, READ])
    assert found["first"]["value"] == "default_welcome"
    assert found["statuses"] == [200, 304]
