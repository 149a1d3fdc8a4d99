"""What is in force, what the file warns of, and reading it again."""

import re

from playwright.sync_api import expect

from processes import MASTER_KEY


def test_the_configuration_in_force(admin):
    page = admin.open("/config")
    expect(page.get_by_text(re.compile("`telemetry` has no effect"))).to_be_visible()
    options = page.get_by_label("Options of router_settings")
    expect(options).to_contain_text(re.compile(r"cooldown_time\s*300"))
    expect(options).to_contain_text("[{broken: [claude]}]")
    # What came from a variable is shown by the variable's name.
    expect(page.get_by_label("Options of general_settings")).to_contain_text("${MASTER_KEY}")
    assert MASTER_KEY not in page.content()
    page.get_by_role("searchbox", name="Search options").fill("fallbacks")
    expect(options).to_have_text(re.compile(r"^fallbacks\s*\["))
    expect(page.get_by_label("Options of general_settings")).to_have_count(0)


def test_the_file_is_read_again(admin, gateway):
    page = admin.open("/config")
    text = gateway.config.read_text()
    button = page.get_by_role("button", name="Read the file again")
    try:
        button.click()
        expect(page.get_by_text("Nothing has changed.")).to_be_visible()
        gateway.config.write_text(text.replace("num_retries: 1", "num_retries: 2"))
        button.click()
        expect(page.get_by_text("is in force.")).to_be_visible()
        expect(page.get_by_text("Succeeded", exact=True)).to_be_visible()
        # A broken file changes nothing, and the page says what is wrong with it.
        admin.complaints.expect("/config/reload")
        gateway.config.write_text(text.replace("num_retries: 1", "num_retrys: 1"))
        button.click()
        expect(page.get_by_role("alert")).to_contain_text("num_retrys")
        expect(page.get_by_text("Failed", exact=True)).to_be_visible()
    finally:
        gateway.config.write_text(text)
        button.click()
    expect(page.get_by_text("is in force.")).to_be_visible()
