"""The log of requests, and one of them with its attempts."""

import re

import pytest
from playwright.sync_api import expect

from conftest import Api, eventually
from processes import MASTER_KEY


def test_requests_are_listed_and_filtered(admin, traffic):
    page = admin.open("/requests")
    expect(page.locator(".pager")).to_contain_text(re.compile(r"\d+ requests"))
    page.get_by_role("button", name="Failed").click()
    expect(page).to_have_url(re.compile("status=failure"))
    expect(page.get_by_role("row", name=re.compile("gpt"))).to_have_count(0)
    expect(page.get_by_role("row", name=re.compile("hopeless")).first).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Model").fill("claude")
    expect(page).to_have_url(re.compile("group=claude"))
    expect(page.get_by_role("row", name=re.compile("hopeless"))).to_have_count(0)
    page.get_by_label("Model").fill("")
    page.get_by_label("Tag").fill("browser")
    expect(page.locator(".pager")).to_have_text(re.compile("^6 requests"))
    page.get_by_label("Tag").fill("nobody-has-it")
    expect(page.get_by_text("No request fits")).to_be_visible()


def test_what_is_counted_as_a_failure_leads_to_its_requests(admin):
    page = admin.open("/?range=6h")
    # The word is that of logs and metrics; beside it stands what it means.
    expect(page.get_by_role("list", name="Failed requests by reason")).to_contain_text("the provider broke")
    page.get_by_role("button", name="Show only server").click()
    expect(page).to_have_url(re.compile(r"/ui/requests\?(?=.*range=6h)(?=.*error=server)"))
    admin.settled()
    # Nobody answered it; who was asked is told all the same.
    expect(page.get_by_role("row", name=re.compile("hopeless")).first).to_contain_text("openai")
    rows = page.locator("tbody tr")
    expect(rows.filter(has_text="server")).to_have_count(rows.count())


def test_a_key_is_found_by_its_name_among_many(admin, api, traffic):
    # More than a page of them, all newer.
    crowd = [f"crowd-{at}" for at in range(110)]
    for name in crowd:
        api("/key/generate", {"key_alias": name})
    page = admin.open("/requests")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Key", exact=True).fill("lone")
    expect(page).to_have_url(re.compile("key=[0-9a-f]{64}"))
    expect(page.locator(".pager")).to_have_text(re.compile("^1 request"))
    # Whoever gets the address sees the name.
    page.reload()
    expect(page.get_by_label("Key", exact=True)).to_have_value("lone")
    page.get_by_label("Key", exact=True).fill("Master key")
    expect(page).to_have_url(re.compile("key=master"))
    page.get_by_label("Key", exact=True).fill("")
    expect(page).not_to_have_url(re.compile("key="))
    api("/key/delete", {"key_aliases": crowd})


@pytest.mark.parametrize("width", [1360, 1240, 1000, 390])
def test_what_a_request_cost_stays_in_sight(visit, api, width):
    name = "a-model-with-a-name-that-somebody-thought-was-a-good-idea-" * 3
    key = api("/key/generate", {"key_alias": f"{name}{width}"})
    assert Api(api.url, key["key"]).status("/v1/chat/completions", {"model": name, "messages": []}) == 404
    eventually(lambda: api(f"/ui/api/requests?key={key['token']}")["total"] == 1, "the row")
    page = visit(MASTER_KEY, viewport={"width": width, "height": 800}).open(f"/requests?key={key['token']}")
    hidden = page.locator(".log .table-wrap").evaluate("(one) => one.scrollWidth - one.clientWidth")
    assert hidden <= 0
    # What is cut is there to be read.
    expect(page.get_by_title(name, exact=True)).to_be_visible()


def test_one_request_with_its_attempts(admin, api, traffic):
    row = api.row_of("broken")
    page = admin.open("/requests")
    page.get_by_role("row", name=re.compile("broken")).get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"/ui/requests/{row['id']}"))
    admin.settled()
    attempts = page.get_by_role("region", name="Attempts")
    expect(attempts.get_by_role("heading")).to_have_text(re.compile(r"[23] attempts"))
    lines = attempts.get_by_role("listitem")
    # The request itself, what failed, and the fallback that answered.
    expect(lines.nth(1)).to_contain_text("1. broken")
    expect(lines.nth(1)).to_contain_text("500")
    expect(lines.last).to_contain_text("claude")
    expect(lines.last).to_contain_text("success")
    expect(page.get_by_text("broken was asked for; claude answered.")).to_be_visible()
    # One after the other: no attempt begins before the one before it ended.
    pieces = attempts.locator(".piece:not(.whole)").evaluate_all(
        "(all) => all.map((one) => [one.getBoundingClientRect().left, one.getBoundingClientRect().right])")
    for before, after in zip(pieces, pieces[1:]):
        # As wide as a hair at least, so that the shortest can be seen.
        assert after[0] >= before[1] - 4
    page.get_by_role("link", name="Requests").last.click()
    expect(page.get_by_role("heading", name="Requests", level=1)).to_be_visible()


def test_a_request_is_found_by_the_id_that_its_client_knows(admin, api, traffic):
    row = api.row_of("broken")
    page = admin.open(f"/requests?id={row['call_id']}")
    expect(page.locator(".pager")).to_have_text(re.compile("^1 request"))


def test_a_request_that_called_nobody_says_so(admin, api, traffic):
    name = "nothing-is-called-that"
    assert api.status("/v1/chat/completions", {"model": name, "messages": []}) == 404
    rows = lambda: [row for row in api("/ui/api/requests?error=model")["requests"] if row["model"] == name]
    eventually(rows, "the row")
    page = admin.open(f"/requests/{rows()[0]['id']}")
    expect(page.get_by_role("heading", name="No attempt")).to_be_visible()
    expect(page.get_by_text("It ended in the gateway: no deployment was called.")).to_be_visible()


def test_a_request_that_nobody_made(admin):
    admin.complaints.expect("404")
    page = admin.open("/requests/0199-none")
    expect(page.get_by_role("alert")).to_be_visible()


def test_pages_of_a_long_list(admin, api):
    def made():
        return api("/ui/api/requests?group=claude")["total"]

    while made() <= 50:
        before = made()
        for _ in range(51 - before):
            api.chat("claude")
        eventually(lambda: made() >= 51, "51 rows")
    page = admin.open("/requests?group=claude")
    page.get_by_role("button", name="Next").click()
    expect(page).to_have_url(re.compile("page=2"))
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.go_back()
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()


def test_somebody_sees_only_their_own(visit, api, traffic, people):
    page = visit(people.keys["internal_user"]).open("/requests")
    expect(page.get_by_role("row", name=re.compile("claude")).first).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("broken"))).to_have_count(0)
    row = api.row_of("broken")
    assert Api(api.url, people.keys["internal_user"]).status(f"/ui/api/requests/{row['id']}") == 404
