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


def test_deployments_that_are_alike_are_told_apart(admin, api):
    [gpt] = [one for one in api("/ui/api/deployments")["deployments"] if one["id"] == "gpt-1"]
    made = {"model": "openai/gpt-4o-mini", "api_base": gpt["api_base"], "api_key": "sk-provider"}
    for name in ("twin-north", "twin-south"):
        api("/model/new", {"model_name": "twins", "litellm_params": made, "model_info": {"id": name}})
    page = admin.open("/models?explain=twins")
    page.get_by_role("button", name="Explain").click()
    explained = page.get_by_role("region", name="Deployments of twins")
    for name in ("twin-north", "twin-south"):
        expect(page.get_by_role("row", name=re.compile(f"^twins.*{name}"))).to_be_visible()
        expect(explained.get_by_role("row", name=re.compile(name))).to_be_visible()
    # One that is alone needs no id to be known by.
    expect(page.get_by_role("row", name=re.compile("^claude.*claude-1"))).to_have_count(0)
    page = admin.open("/")
    expect(page.get_by_role("region", name="Deployments").get_by_text("twin-south")).to_be_visible()
    for name in ("twin-north", "twin-south"):
        api("/model/delete", {"id": name})


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


def test_a_model_from_its_making_to_its_end(admin, api):
    [gpt] = [one for one in api("/ui/api/deployments")["deployments"] if one["id"] == "gpt-1"]
    page = admin.open("/models")
    page.get_by_role("button", name="New model").click()
    sheet = page.get_by_role("dialog", name="New model")
    sheet.get_by_label("Name", exact=True).fill("fresh")
    sheet.get_by_label("Provider and model").fill("openai/gpt-4o-mini")
    sheet.get_by_label("Provider's key").fill("sk-provider")
    sheet.get_by_label("Address").fill("no address")
    # It is tried first, and what is wrong with it is told in the form.
    admin.complaints.expect("/model/new")
    sheet.get_by_role("button", name="Make model").click()
    expect(sheet.get_by_role("alert")).to_contain_text("api_base")
    sheet.get_by_label("Address").fill(gpt["api_base"])
    sheet.get_by_label("Requests a minute").fill("60")
    sheet.get_by_role("button", name="Make model").click()
    expect(page.get_by_role("status")).to_contain_text("Model made.")
    row = page.get_by_role("row", name=re.compile("^fresh"))
    expect(row).to_be_visible()
    assert api.chat("fresh")["choices"]

    row.get_by_role("link").click()
    details = page.get_by_role("dialog", name="fresh")
    expect(details).to_contain_text("60 requests/min")
    details.get_by_role("button", name="Change").click()
    sheet = page.get_by_role("dialog", name="fresh")
    # The key is not there to be read.
    expect(sheet.get_by_label("Provider's key")).to_have_value("")
    assert "sk-provider" not in page.content()
    sheet.get_by_label("Requests a minute").fill("")
    sheet.get_by_label("Tokens a minute").fill("9000")
    sheet.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Model saved.")
    row.get_by_role("link").click()
    expect(details).to_contain_text("9,000 tokens/min")
    expect(details).not_to_contain_text("requests/min")
    assert api.chat("fresh")["choices"]

    details.get_by_role("button", name="Change").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete fresh?").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_contain_text("Model deleted.")
    expect(row).to_have_count(0)


def test_what_the_file_has_is_not_changed_here(admin):
    page = admin.open("/models?open=gpt-1")
    details = page.get_by_role("dialog", name="gpt")
    expect(details).to_contain_text("The configuration file")
    expect(details.get_by_role("button", name="Change")).to_have_count(0)
