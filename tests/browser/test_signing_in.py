"""Who gets in, how they leave, and what the page keeps of them."""

from playwright.sync_api import expect

from processes import MASTER_KEY


def test_a_person_signs_in_with_the_keyboard_and_out_again(visit):
    visitor = visit()
    page = visitor.open("/keys")
    # The field has the focus: somebody who comes with a key types it.
    page.keyboard.type(MASTER_KEY)
    page.keyboard.press("Enter")
    # The page that was asked for, not the first one.
    expect(page.get_by_role("heading", name="Keys", level=1)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_key_is_told_and_can_be_corrected(visit):
    visitor = visit()
    visitor.complaints.expect("401")
    page = visitor.open("/")
    page.get_by_label("Key").fill("sk-nobody-has-this-key-0123456789")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Key").fill(MASTER_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_the_key_is_kept_nowhere_that_a_script_can_read(visit):
    visitor = visit()
    page = visitor.open("/")
    page.get_by_label("Key").fill(MASTER_KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    kept = page.evaluate(
        "document.cookie + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})"
        " + document.documentElement.outerHTML + location.href"
    )
    assert MASTER_KEY not in kept
    [cookie] = visitor.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert MASTER_KEY not in cookie["value"]


def test_a_session_that_ended_leads_to_the_sign_in_page(visit):
    visitor = visit(MASTER_KEY)
    visitor.complaints.expect("401")
    page = visitor.open("/keys")
    visitor.context.clear_cookies()
    page.get_by_role("link", name="Teams").click()
    expect(page.get_by_text("Your session is over.")).to_be_visible()


def test_colours_follow_the_system_until_somebody_chooses(visit):
    visitor = visit(MASTER_KEY, dark=True)
    page = visitor.open("/keys")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Colours: as the system").click()
    light = page.evaluate(ground)
    assert light != dark
    # The choice holds over a reload, from the first paint on.
    page.goto("/ui/keys", wait_until="commit")
    page.wait_for_selector("body")
    assert page.evaluate(ground) == light
    visitor.settled()
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(ground) == dark
