"""What each role sees and may do. No page asks for what its reader may not see: that would be an error to the console."""

import re

import pytest
from playwright.sync_api import expect

EVERYBODY = ["Overview", "Requests", "Models", "Playground", "Keys", "Teams"]
SEES = {
    "proxy_admin": [*EVERYBODY, "Users", "Budgets", "Configuration"],
    "proxy_admin_viewer": [*EVERYBODY, "Users", "Budgets", "Configuration"],
    "org_admin": [*EVERYBODY, "Users"],
    "internal_user": EVERYBODY,
    "internal_user_viewer": EVERYBODY,
    "lone": EVERYBODY,
}
MAKES = {
    "proxy_admin": {"Models": "New model", "Keys": "New key", "Teams": "New team", "Users": "New user", "Budgets": "New budget"},
    "org_admin": {"Keys": "New key", "Teams": "New team", "Users": "New user"},
    "internal_user": {"Keys": "New key"},
}


@pytest.mark.parametrize("role", SEES)
def test_each_role_sees_its_pages_and_no_others(visit, people, traffic, role):
    visitor = visit(people.keys[role])
    page = visitor.open("/?live=off")
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(links).to_have_text(SEES[role])
    for name in SEES[role]:
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
        visitor.settled()
        expect(page.get_by_role("alert")).to_have_count(0)
        new = page.get_by_role("button", name=re.compile("^New (model|key|team|user|budget)$"))
        if name in MAKES.get(role, {}):
            expect(new).to_have_text(MAKES[role][name])
        else:
            expect(new).to_have_count(0)


@pytest.mark.parametrize("role", ["internal_user", "lone"])
@pytest.mark.parametrize("path", ["/users", "/budgets", "/config"])
def test_a_page_that_is_not_theirs_says_so(visit, people, role, path):
    page = visit(people.keys[role]).open(path)
    expect(page.get_by_text("Not for this key")).to_be_visible()


def test_who_only_looks_finds_nothing_to_change(visit, people, traffic):
    visitor = visit(people.keys["proxy_admin_viewer"])
    for path in ("/keys", "/teams", "/users", "/budgets"):
        page = visitor.open(path)
        page.locator("tbody .rowlink").first.click()
        sheet = page.get_by_role("dialog")
        expect(sheet).to_be_visible()
        expect(sheet.get_by_role("button")).to_have_text(["", "Close"])
        expect(sheet.locator("input:enabled, select:enabled")).to_have_count(0)
        sheet.get_by_role("button", name="Close").last.click()
    page = visitor.open("/config")
    expect(page.get_by_role("button", name="Read the file again")).to_have_count(0)


def test_a_user_makes_a_key_for_themselves(visit, people, api):
    page = visit(people.keys["internal_user"]).open("/keys")
    page.get_by_role("button", name="New key").click()
    sheet = page.get_by_role("dialog", name="New key")
    # Whose it is, is no question.
    expect(sheet.get_by_label("User", exact=True)).to_have_count(0)
    sheet.get_by_label("Name").fill("my-own")
    sheet.get_by_role("button", name="Make key").click()
    secret = page.get_by_role("dialog", name="Key made").locator("code").inner_text()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("row", name=re.compile("my-own"))).to_be_visible()
    [made] = [key for key in api("/key/list?return_full_object=true&user_id=internal_user&size=100")["keys"] if key["key_alias"] == "my-own"]
    assert made["user_id"] == "internal_user"
    assert secret.startswith("sk-")
    page.get_by_role("link", name=re.compile("my-own")).click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete my-own?").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_contain_text("Key deleted.")


def test_the_overview_of_a_user_has_their_own_numbers_only(visit, people, api, traffic):
    visitor = visit(people.keys["internal_user"])
    page = visitor.open("/?live=off")
    expect(page.get_by_text("This is what your own keys did.")).to_be_visible()
    figure = page.locator(".figure", has=page.locator("dt", has_text=re.compile("^Requests$")))
    own = [one for one in api("/ui/api/overview")["by_user"] if one["id"] == "internal_user"]
    expect(figure.locator("dd.value")).to_have_text(str(own[0]["requests"]))
    expect(page.get_by_role("heading", name="Deployments")).to_have_count(0)


def test_who_loses_a_role_loses_its_pages_while_one_is_open(visit, api, traffic):
    key = api("/user/new", {"user_id": "demoted", "user_role": "proxy_admin_viewer"})["key"]
    visitor = visit(key)
    # On the way, what the page asks for may be refused already.
    visitor.complaints.expect("403")
    page = visitor.open("/")
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(links).to_have_text(SEES["proxy_admin_viewer"])
    api("/user/update", {"user_id": "demoted", "user_role": "internal_user"})
    expect(links).to_have_text(SEES["internal_user"])
    expect(page.get_by_text("This is what your own keys did.")).to_be_visible()


def test_a_change_without_the_sessions_token_is_refused(visit, people):
    visitor = visit(people.keys["proxy_admin"])
    answer = visitor.context.request.post("/key/generate", data={"key_alias": "forged"})
    assert answer.status == 403
    answer = visitor.context.request.post(
        "/key/generate", data={"key_alias": "forged"}, headers={"x-tollgate-csrf": "x" * 43})
    assert answer.status == 403
