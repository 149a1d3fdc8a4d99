"""Fixtures: one gateway with traffic, one Chromium, and pages that fail the test if the browser complains."""

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from processes import MASTER_KEY, Gateway, Provider

HERE = Path(__file__).resolve().parent
DESKTOP = {"viewport": {"width": 1360, "height": 900}}
PHONE = {
    "viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True,
    "device_scale_factor": 2,
}
# For a machine that is busy with other things; usually everything is there at once.
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


class Api:
    """The gateway's own routes with a key, to make what the pages then show."""

    def __init__(self, url, key=MASTER_KEY):
        self.url, self.key = url, key

    def __call__(self, path, body=None):
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self.key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def row_of(self, model):
        """The newest request in the log that asked for a model, however many came since."""
        page = 1
        while True:
            rows = self(f"/ui/api/requests?page={page}&page_size=100")["requests"]
            assert rows, f"nobody asked for {model}"
            for row in rows:
                if row["model"] == model:
                    return row
            page += 1

    def status(self, path, body=None):
        try:
            self(path, body)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def chat(self, model, text="Hello", **more):
        return self(
            "/v1/chat/completions",
            {"model": model, "messages": [{"role": "user", "content": text}], **more},
        )


@dataclass
class People:
    """A key of each role, by the role's name; `lone` is a key that has no user."""

    keys: dict = field(default_factory=dict)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    providers = {"openai": Provider(), "anthropic": Provider()}
    # A copy, because a test changes it while the gateway runs.
    config = tmp_path_factory.mktemp("gateway") / "gateway.yaml"
    config.write_text((HERE / "gateway.yaml").read_text())
    running = Gateway(config, providers)
    running.config = config
    yield running
    assert running.stop() == 0
    for provider in providers.values():
        assert provider.stop() == 0


@pytest.fixture(scope="session")
def api(gateway):
    return Api(gateway.url)


@pytest.fixture(scope="session")
def people(api):
    """Somebody of every role, and what they made with their keys."""
    keys = {"proxy_admin": MASTER_KEY}
    organisation = api("/organization/new", {"organization_alias": "Acme"})["organization_id"]
    for role in ("proxy_admin_viewer", "org_admin", "internal_user", "internal_user_viewer"):
        body = {"user_id": role, "user_email": f"{role}@example.com", "user_role": role, "max_budget": 5}
        if role == "org_admin":
            body["organization_id"] = organisation
        keys[role] = api("/user/new", body)["key"]
    keys["lone"] = api("/key/generate", {"key_alias": "lone", "max_budget": 1, "budget_duration": "1d"})["key"]
    api("/team/new", {"team_alias": "Search", "team_id": "search", "max_budget": 100, "members_with_roles": [
        {"user_id": "internal_user", "role": "user"},
    ]})
    api("/budget/new", {"budget_id": "interns", "max_budget": 50, "budget_duration": "30d"})
    return People(keys)


@pytest.fixture(scope="session")
def traffic(api, people):
    """Requests of all kinds: plain, cached context, streamed, retried, answered by a fallback, failed."""
    own = Api(api.url, people.keys["internal_user"])
    lone = Api(api.url, people.keys["lone"])
    for at in range(6):
        api.chat("gpt", f"Number {at}", metadata={"tags": ["browser"]})
        own.chat("claude", f"Number {at}")
    for _ in range(8):
        api.chat("assistant")
    lone.chat("gpt")
    # The second comes from the cache.
    for _ in range(2):
        api.chat("gpt", "The same again", cache={"use-cache": True})
    api.chat("flaky")
    api.chat("broken")
    assert api.status("/v1/chat/completions", {"model": "hopeless", "messages": [{"role": "user", "content": "x"}]}) >= 400
    total = 6 + 6 + 8 + 1 + 2 + 1 + 1 + 1

    def rows():
        return api("/spend/logs/v2?start_date=2026-01-01&end_date=2999-01-01")["total"]

    # Rows are written in batches; the pages read what is written.
    eventually(lambda: rows() >= total, f"{total} rows")
    return total


def eventually(true, what):
    """Asks again until it is so; the pause only keeps the machine free."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not true():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def chromium():
    # As root in a container there is no sandbox to be had, and little shared memory.
    options = ["--no-sandbox", "--disable-dev-shm-usage"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=options)
        yield browser
        browser.close()


class Complaints:
    """What the browser says of a page: errors of scripts and the console, and breaches of the policy."""

    def __init__(self):
        self.found, self._expected = [], []

    def watch(self, page):
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))

    def expect(self, text):
        """A complaint that the test brings about: a refused request is an error to the console."""
        self._expected.append(text)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.found.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def left(self):
        return [one for one in self.found if not any(text in one for text in self._expected)]


# A breach is a line in the console by itself; this one names the element, and is there in any case.
WATCH_POLICY = """
addEventListener('securitypolicyviolation', (event) => console.error(
  `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Visitor:
    """Somebody at a browser: opens pages of one gateway, and remembers what the browser complained of."""

    def __init__(self, chromium, url, **options):
        self.url = url
        self.context = chromium.new_context(base_url=url, locale="en-US", timezone_id="Europe/Berlin", **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(WATCH_POLICY)
        self.complaints = Complaints()
        # Whether somebody is signed in is asked before it is known.
        self.complaints.expect("/ui/api/session)")
        self.page = self.context.new_page()
        self.complaints.watch(self.page)

    def sign_in(self, key):
        answer = self.context.request.post(f"{self.url}/ui/api/session", data={"key": key})
        assert answer.ok, answer.text()
        self.session = answer.json()
        return self

    def open(self, path):
        self.page.goto(f"/ui{path}")
        expect(self.page.locator("h1")).to_be_visible()
        return self.settled()

    def settled(self):
        """Until everything that the page asked for is there."""
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)
        return self.page


@pytest.fixture
def visit(chromium, gateway):
    """Makes visitors, and fails the test if a browser complained of anything that the test did not expect."""
    visitors = []

    def visit(key=None, phone=False, dark=False, **options):
        shape = PHONE if phone else DESKTOP
        visitor = Visitor(chromium, gateway.url, color_scheme="dark" if dark else "light", **{**shape, **options})
        visitors.append(visitor)
        return visitor.sign_in(key) if key else visitor

    yield visit
    left = [one for visitor in visitors for one in visitor.complaints.left()]
    for visitor in visitors:
        visitor.context.close()
    assert not left, "\n".join(left)


@pytest.fixture(scope="session")
def regulars():
    """Visitors that stay for the whole run, by their shape."""
    return {}


@pytest.fixture
def look(chromium, gateway, traffic, regulars):
    """An administrator that only looks: the same one for every test that asks for the same shape, because a new
    browser begins with an empty cache."""
    used = []

    def look(phone=False, dark=False):
        shape = (phone, dark)
        if shape not in regulars:
            colours = "dark" if dark else "light"
            regulars[shape] = Visitor(chromium, gateway.url, color_scheme=colours, **(PHONE if phone else DESKTOP))
            regulars[shape].sign_in(MASTER_KEY)
        used.append(regulars[shape])
        return regulars[shape]

    yield look
    left = [one for visitor in used for one in visitor.complaints.left()]
    for visitor in used:
        visitor.complaints.found.clear()
    assert not left, "\n".join(left)


@pytest.fixture
def admin(visit, traffic):
    return visit(MASTER_KEY)
