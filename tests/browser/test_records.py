"""Keys, teams, users and budgets: made, changed, blocked and deleted in the page, and obeyed by the gateway."""

import re

import pytest
from playwright.sync_api import expect

from conftest import Api


def told(page, text):
    expect(page.get_by_role("status")).to_contain_text(text)


def test_a_key_from_its_making_to_its_end(admin, api):
    page = admin.open("/keys")
    page.get_by_role("button", name="New key").click()
    sheet = page.get_by_role("dialog", name="New key")
    sheet.get_by_label("Name").fill("made-by-hand")
    sheet.get_by_label("Models").fill("gpt")
    page.keyboard.press("Enter")
    expect(sheet.get_by_role("list", name="Models, chosen")).to_contain_text("gpt")
    sheet.get_by_label("Budget", exact=True).fill("2.50")
    sheet.get_by_label("Period").select_option("30d")
    sheet.get_by_label("Valid for").select_option("7d")
    sheet.get_by_role("button", name="Make key").click()
    secret = page.get_by_role("dialog", name="Key made").locator("code").inner_text()
    page.get_by_role("button", name="Done").click()

    # It is a key, with these bounds.
    made = Api(api.url, secret)
    assert made.status("/v1/chat/completions", {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}) == 200
    assert made.status("/v1/chat/completions", {"model": "claude", "messages": [{"role": "user", "content": "x"}]}) == 403
    row = page.get_by_role("row", name=re.compile("made-by-hand"))
    expect(row.get_by_role("meter")).to_have_attribute("aria-valuemax", "2.5")
    assert secret not in page.content()

    # Changed: only what was changed is sent.
    row.get_by_role("link", name=re.compile("made-by-hand")).click()
    sheet = page.get_by_role("dialog", name="made-by-hand")
    sheet.get_by_label("Budget", exact=True).fill("3")
    sheet.get_by_label("Requests a minute").fill("600")
    with page.expect_request("**/key/update") as sent:
        sheet.get_by_role("button", name="Save").click()
    assert set(sent.value.post_data_json) == {"key", "max_budget", "rpm_limit"}
    told(page, "Key saved.")
    expect(row).to_contain_text("of $3.00")

    # Blocked after a question, and open again.
    chat = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}
    row.get_by_role("link", name=re.compile("made-by-hand")).click()
    page.get_by_role("button", name="Block").click()
    page.get_by_role("dialog", name="Block made-by-hand?").get_by_role("button", name="Block").click()
    told(page, "Key blocked.")
    expect(row).to_contain_text("Blocked")
    assert made.status("/v1/chat/completions", chat) == 401
    row.get_by_role("link", name=re.compile("made-by-hand")).click()
    page.get_by_role("button", name="Unblock").click()
    told(page, "Key unblocked.")
    assert made.status("/v1/chat/completions", chat) == 200

    # Replaced, and deleted.
    row.get_by_role("link", name=re.compile("made-by-hand")).click()
    page.get_by_role("button", name="Replace").click()
    page.get_by_role("dialog", name=re.compile("Replace")).get_by_role("button", name="Replace").click()
    second = page.get_by_role("dialog", name="New secret").locator("code").inner_text()
    page.get_by_role("button", name="Done").click()
    assert second != secret
    assert made.status("/v1/chat/completions", chat) == 401
    row.get_by_role("link", name=re.compile("made-by-hand")).click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete made-by-hand?").get_by_role("button", name="Delete").click()
    told(page, "Key deleted.")
    expect(row).to_have_count(0)
    assert Api(api.url, second).status("/v1/chat/completions", chat) == 401


def test_a_question_can_be_answered_with_no(admin):
    page = admin.open("/keys")
    page.get_by_role("link", name=re.compile("^lone")).click()
    page.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete lone?")
    # What does no harm has the focus.
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("row", name=re.compile("lone"))).to_be_visible()


def test_what_the_gateway_refuses_stands_at_its_field(admin, api):
    admin.complaints.expect("400")
    # Opened by its address, the form is there before the lists that it offers.
    page = admin.open("/keys?new=1")
    sheet = page.get_by_role("dialog", name="New key")
    sheet.get_by_label("Name").fill("lone")
    sheet.get_by_role("button", name="Make key").click()
    expect(sheet.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    expect(sheet.get_by_text("already exists")).to_be_visible()
    # What cannot be meant is told before anything is sent.
    sheet.get_by_label("Budget", exact=True).fill("lots")
    sheet.get_by_role("button", name="Make key").click()
    expect(sheet.get_by_text("A number, 0 or greater.")).to_be_visible()


def test_keys_are_found_by_name_and_by_themselves(admin, api, people):
    page = admin.open("/keys")
    # A part of the name will do, in whatever letters.
    for part in ("lone", "LON"):
        page.get_by_role("searchbox").fill(part)
        expect(page).to_have_url(re.compile(f"q={part}"))
        expect(page.get_by_role("row")).to_have_count(2)
        expect(page.get_by_role("row", name=re.compile("lone"))).to_be_visible()
    # A key finds itself, and stands in no address: not in the page's, nor in one that the gateway is asked for.
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    secret = people.keys["internal_user"]
    page.get_by_role("searchbox").fill(secret)
    expect(page).to_have_url(re.compile("q=[0-9a-f]{64}"))
    expect(page.get_by_role("row", name=re.compile("internal_user"))).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("row").get_by_role("link").click()
    expect(page.get_by_role("dialog")).to_contain_text(re.search("q=([0-9a-f]{64})", page.url)[1])
    page.get_by_role("button", name="Close").click()
    page.get_by_role("searchbox").fill("sk-of-nobody")
    expect(page.get_by_text("No key fits")).to_be_visible()
    admin.open("/requests").get_by_role("button", name="Filters").click()
    page.get_by_label("Key", exact=True).fill(secret)
    expect(page).to_have_url(re.compile("key=[0-9a-f]{64}"))
    assert not [url for url in asked if secret in url or "sk-of-nobody" in url]
    admin.open("/keys")
    page.get_by_role("searchbox").fill("nothing-like-it")
    expect(page.get_by_text("No key fits")).to_be_visible()


def test_a_team_from_its_making_to_its_end(admin, api):
    page = admin.open("/teams")
    page.get_by_role("button", name="New team").click()
    sheet = page.get_by_role("dialog", name="New team")
    sheet.get_by_role("button", name="Make team").click()
    expect(sheet.get_by_text("Name is needed.")).to_be_visible()
    sheet.get_by_label("Name").fill("Nightly")
    sheet.get_by_label("Budget", exact=True).fill("20")
    sheet.get_by_role("button", name="Make team").click()
    told(page, "Team made.")
    row = page.get_by_role("row", name=re.compile("Nightly"))
    expect(row).to_contain_text("$20.00 left")

    row.get_by_role("link").click()
    sheet = page.get_by_role("dialog", name="Nightly")
    sheet.get_by_label("User to add").fill("internal_user")
    sheet.get_by_role("button", name="Add member").click()
    expect(sheet.get_by_role("button", name="Remove internal_user")).to_be_visible()
    sheet.get_by_role("button", name="Remove internal_user").click()
    expect(sheet.get_by_text("Nobody yet.")).to_be_visible()
    sheet.get_by_label("Name").fill("Nightly jobs")
    sheet.get_by_role("button", name="Save").click()
    told(page, "Team saved.")
    row = page.get_by_role("row", name=re.compile("Nightly jobs"))
    for done in ("Block", "Unblock", "Delete"):
        row.get_by_role("link").click()
        page.get_by_role("button", name=done, exact=True).click()
        if done != "Unblock":
            page.get_by_role("dialog", name=f"{done} Nightly jobs?").get_by_role("button", name=done).click()
        told(page, {"Block": "Team blocked.", "Unblock": "Team unblocked.", "Delete": "Team deleted."}[done])
    expect(row).to_have_count(0)


def test_a_user_from_their_making_to_their_end(admin, api):
    page = admin.open("/users")
    page.get_by_role("button", name="New user").click()
    sheet = page.get_by_role("dialog", name="New user")
    sheet.get_by_label("User id").fill("zoe")
    sheet.get_by_label("E-mail").fill("zoe@example.com")
    sheet.get_by_label("Role").select_option("internal_user_viewer")
    sheet.get_by_label("Budget", exact=True).fill("7")
    sheet.get_by_role("button", name="Make user").click()
    secret = page.get_by_role("dialog", name="User made").locator("code").inner_text()
    page.get_by_role("button", name="Done").click()
    own = Api(api.url, secret)("/key/info")
    assert own["info"]["user_id"] == "zoe"
    page.get_by_role("searchbox").fill("zoe@")
    row = page.get_by_role("row", name=re.compile("zoe@example.com"))
    expect(row).to_contain_text("User, read only")
    expect(row).to_contain_text("$7.00 left")
    row.get_by_role("link").click()
    sheet = page.get_by_role("dialog", name="zoe@example.com")
    sheet.get_by_label("Role").select_option("internal_user")
    sheet.get_by_role("button", name="Save").click()
    told(page, "User saved.")
    assert api("/v2/user/info?user_id=zoe")["user_role"] == "internal_user"
    row.get_by_role("link").click()
    page.get_by_role("button", name="Block").click()
    page.get_by_role("dialog", name=re.compile("Block")).get_by_role("button", name="Block").click()
    told(page, "User blocked.")
    chat = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}
    assert Api(api.url, secret).status("/v1/chat/completions", chat) == 401
    row.get_by_role("link").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name=re.compile("Delete")).get_by_role("button", name="Delete").click()
    told(page, "User deleted.")
    expect(page.get_by_text("No user fits")).to_be_visible()


def test_a_budget_from_its_making_to_its_end(admin, api):
    page = admin.open("/budgets")
    page.get_by_role("button", name="New budget").click()
    sheet = page.get_by_role("dialog", name="New budget")
    sheet.get_by_label("Name").fill("weekend")
    sheet.get_by_label("Budget", exact=True).fill("12")
    sheet.get_by_label("Period").select_option("7d")
    sheet.get_by_role("button", name="Make budget").click()
    told(page, "Budget made.")
    row = page.get_by_role("row", name=re.compile("weekend"))
    expect(row).to_contain_text("$12.00")
    row.get_by_role("link").click()
    sheet = page.get_by_role("dialog", name="weekend")
    sheet.get_by_label("Budget", exact=True).fill("15")
    sheet.get_by_role("button", name="Save").click()
    told(page, "Budget saved.")
    expect(row).to_contain_text("$15.00")
    row.get_by_role("link").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete weekend?").get_by_role("button", name="Delete").click()
    told(page, "Budget deleted.")
    expect(row).to_have_count(0)


@pytest.mark.parametrize("spend, kind", [(0, "good"), (8.5, "warn"), (12, "bad")])
def test_a_bar_says_how_much_of_a_budget_is_left(admin, api, spend, kind):
    name = f"bar-{kind}"
    key = api("/key/generate", {"key_alias": name, "max_budget": 10, "budget_duration": "30d"})
    page = admin.page
    # What was spent is the ledger's to say; the page is given the answer of a key that has spent it.
    page.route("**/key/list*", lambda route: route.fulfill(json=spent(route.fetch().json(), name, spend)))
    admin.open("/keys")
    row = page.get_by_role("row", name=re.compile(name))
    meter = row.get_by_role("meter")
    expect(meter).to_have_attribute("aria-valuenow", str(max(0, 10 - spend)).removesuffix(".0"))
    expect(row.locator(".budget")).to_have_class(f"budget {kind}")
    width = meter.locator("span").evaluate("(bar) => bar.getBoundingClientRect().width / bar.parentElement.getBoundingClientRect().width")
    assert abs(width - max(0, 10 - spend) / 10) < 0.03
    api("/key/delete", {"keys": [key["token"]]})


def spent(answer, name, spend):
    for key in answer["keys"]:
        if key["key_alias"] == name:
            key["spend"] = spend
    return answer
