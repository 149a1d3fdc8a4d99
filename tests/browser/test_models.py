"""What can be called, what rests and for how long, and why a request would go where."""

import re

from playwright.sync_api import expect


def test_a_deployment_that_rests_counts_down(admin):
    page = admin.open("/models")
    row = page.get_by_role("row", name=re.compile(r"^flaky.*mock-429"))
    expect(row).to_contain_text("Resting")
    timer = row.get_by_role("timer")
    left = int(re.match(r"(\d+) s left", timer.inner_text())[1])
    assert 0 < left <= 300
    expect(timer).not_to_have_text(f"{left} s left")
    assert int(re.match(r"(\d+) s left", timer.inner_text())[1]) < left
    page.get_by_role("button", name=re.compile("^Resting")).click()
    expect(page.get_by_role("row", name=re.compile("gpt-4o-mini"))).to_have_count(0)
    expect(page).to_have_url(re.compile("state=cooling"))


def test_one_deployment_in_detail(admin):
    page = admin.open("/models")
    page.get_by_role("searchbox", name="Search models").fill("claude")
    expect(page).to_have_url(re.compile("q=claude"))
    page.get_by_role("link", name=re.compile("^claude")).click()
    sheet = page.get_by_role("dialog", name="claude")
    expect(sheet).to_contain_text("claude-1")
    expect(sheet).to_contain_text("a million")
    sheet.get_by_role("button", name="Close").first.click()
    expect(sheet).to_have_count(0)


def test_the_choice_is_explained(admin):
    page = admin.open("/models?explain=flaky")
    explain = page.get_by_role("region", name="Explain")
    explain.get_by_role("button", name="Explain").click()
    table = explain.get_by_role("region", name="Deployments of flaky")
    expect(table.get_by_role("row", name=re.compile("mock-429"))).to_contain_text("cool")
    expect(table.get_by_role("row", name=re.compile("gpt-4o-mini"))).to_contain_text("First")


def test_a_body_that_is_no_json_is_told_at_its_field(admin):
    page = admin.open("/models")
    field = page.get_by_label("Body of the request")
    field.fill("{")
    page.get_by_role("button", name="Explain").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("This is no JSON")).to_be_visible()
