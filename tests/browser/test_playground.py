"""Conversations: streamed, whole, stopped, refused."""

import re

from playwright.sync_api import expect

from conftest import eventually


def say(page, text):
    page.get_by_role("textbox", name="Message").fill(text)
    page.keyboard.press("Enter")


def test_a_reply_is_streamed_and_logged(admin, api):
    page = admin.open("/playground?model=claude")
    say(page, "Good evening")
    reply = page.get_by_role("article").nth(1)
    expect(reply).to_contain_text("Good evening")
    expect(reply.locator(".meta")).to_contain_text("first token")
    expect(reply.locator(".meta")).to_contain_text(re.compile(r"\d+ in, \d+ out"))
    # What was said before goes along.
    with page.expect_request("**/v1/chat/completions") as sent:
        say(page, "And again")
    body = sent.value.post_data_json
    assert [one["role"] for one in body["messages"]] == ["user", "assistant", "user"]
    assert body["stream"] is True
    expect(page.get_by_role("article")).to_have_count(4)
    link = page.get_by_role("link", name="its log").first
    request = link.get_attribute("href").rsplit("/", 1)[1]
    eventually(lambda: api.status(f"/ui/api/requests/{request}") == 200, "the row of the reply")
    link.click()
    expect(page.get_by_role("heading", name="Request", level=1)).to_be_visible()
    expect(page.get_by_role("region", name="Attempts")).to_contain_text("success")


def test_text_comes_while_it_is_made_and_can_be_stopped(admin):
    page = admin.open("/playground?model=slow")
    say(page, "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen")
    text = page.get_by_role("article").nth(1).locator(".text")
    expect(text).not_to_be_empty()
    early = text.inner_text()
    expect(text).not_to_have_text(early)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    stopped = text.inner_text()
    assert "sixteen" not in stopped
    assert len(stopped) > len(early)


def test_a_whole_reply_with_settings(admin):
    page = admin.open("/playground?model=gpt")
    page.get_by_label("Stream the reply").uncheck()
    expect(page).to_have_url(re.compile("stream=off"))
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.2")
    page.get_by_label("Most tokens of the reply").fill("50")
    with page.expect_request("**/v1/chat/completions") as sent:
        say(page, "Hello")
    body = sent.value.post_data_json
    assert body["stream"] is False and body["temperature"] == 0.2 and body["max_tokens"] == 50
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    expect(page.get_by_role("article").nth(1)).to_contain_text("Hello")


def test_a_refusal_is_told_in_the_gateways_words(admin):
    admin.complaints.expect("/v1/chat/completions")
    page = admin.open("/playground?model=hopeless")
    say(page, "Hello")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Request")
    # What was said is not lost, and the next one may do better.
    page.get_by_label("Model").select_option("gpt")
    say(page, "Hello again")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("article").last).to_contain_text("Hello again")


def test_a_new_line_is_no_message(admin):
    page = admin.open("/playground")
    box = page.get_by_role("textbox", name="Message")
    box.fill("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box).to_have_value("one\ntwo")
    expect(page.get_by_role("article")).to_have_count(0)
