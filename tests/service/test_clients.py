"""SDKs that nobody here wrote, also in a real browser, against the service and a real Kafka."""

import json
import subprocess
from pathlib import Path
from typing import Any

import segment.analytics as segment
from browsing import NODE, messages, put
from playwright.sync_api import Page
from running import READ, WRITE, Service, Topic


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
