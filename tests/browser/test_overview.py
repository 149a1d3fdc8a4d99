"""The figures and charts, on traffic that went through the gateway."""

import re

import pytest
from playwright.sync_api import expect


def number(page, name):
    figure = page.locator(".figure", has=page.locator("dt", has_text=re.compile(f"^{name}$")))
    return figure.locator("dd.value")


def test_the_figures_are_those_of_the_traffic(admin, api, traffic):
    page = admin.open("/?live=off")
    totals = api("/ui/api/overview")["totals"]
    assert totals["requests"] >= traffic
    expect(number(page, "Requests")).to_have_text(str(totals["requests"]))
    expect(number(page, "Cost")).to_contain_text("$")
    expect(number(page, "Fallbacks made good")).to_contain_text("%")
    assert totals["cache_hits"] > 0
    expect(number(page, "Cache hits")).to_have_text(re.compile(r"^[\d.]+%$"))
    expect(page.locator(".figure", has_text="Cache hits")).to_contain_text("not paid again")


def test_a_chart_is_drawn_and_can_be_read_as_a_table(admin, api):
    page = admin.open("/?live=off")
    chart = page.locator(".card", has=page.get_by_role("heading", name="Requests", exact=True))
    # Something else than one colour stands on the canvas.
    drawn = chart.locator("canvas").evaluate("""(canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) seen.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
      return seen.size;
    }""")
    assert drawn > 1
    chart.get_by_text("Show as table").click()
    expect(chart.locator("tbody tr").first).to_be_visible()
    cells = chart.locator("tbody tr td:first-of-type").all_inner_texts()
    assert sum(int(cell.replace(",", "")) for cell in cells) == api("/ui/api/overview")["totals"]["requests"]


def test_the_pointer_is_told_the_numbers_and_dragging_chooses_a_span(admin):
    page = admin.open("/?live=off")
    plot = page.locator(".card", has=page.get_by_role("heading", name="Requests", exact=True)).locator(".u-over")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.6, middle)
    expect(page.locator(".tip")).to_contain_text("Requests")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+|to=\d+&from=\d+"))


def test_what_happens_now_is_shown_while_the_database_is_away(admin, api):
    admin.complaints.expect("503")
    away = {"error": {"message": "The database is out of reach. Try again later.", "code": "database_unavailable"}}
    admin.page.route("**/ui/api/overview*", lambda route: route.fulfill(status=503, json=away))
    page = admin.open("/")
    expect(page.get_by_role("alert")).to_contain_text("out of reach")
    now = page.get_by_role("region", name="Right now")
    expect(now).to_contain_text("a second at a time")
    api.chat("gpt")
    expect(now.get_by_role("listitem").first).to_contain_text("gpt")


def test_ranges_and_filters_stand_in_the_address(admin):
    page = admin.open("/?live=off")
    page.get_by_role("button", name="Last 7 days").click()
    expect(page).to_have_url(re.compile("range=7d"))
    admin.settled()
    everything = number(page, "Requests").inner_text()
    page.get_by_role("button", name="Show only openai").click()
    expect(page).to_have_url(re.compile("provider=openai"))
    expect(number(page, "Requests")).not_to_have_text(everything)
    only = number(page, "Requests").inner_text()
    # Somebody else opens the same address, and the browser's back button undoes the last step.
    page.reload()
    admin.settled()
    expect(number(page, "Requests")).to_have_text(only)
    expect(page.get_by_role("list", name="Filters in force")).to_contain_text("Provider: openai")
    page.go_back()
    expect(page.get_by_role("list", name="Filters in force")).to_have_count(0)
    expect(number(page, "Requests")).not_to_have_text(only)


@pytest.mark.parametrize("by, name", [
    ("Provider", "openai"), ("Model", "claude"), ("Key", "lone"), ("User", "internal_user"), ("Tag", "browser"),
])
def test_costs_are_divided(admin, by, name):
    page = admin.open("/?live=off")
    card = page.locator(".breakdown")
    card.get_by_role("button", name="Requests").click()
    card.get_by_role("button", name=by, exact=True).click()
    expect(card.get_by_role("list")).to_contain_text(name)


def test_deployments_uptime_savings_and_variants(admin):
    page = admin.open("/?live=off&baseline=gpt-4o")
    table = page.get_by_role("region", name="Deployments")
    # It failed and rests; the numbers of the others are measured.
    broken = table.get_by_role("row", name=re.compile("^broken"))
    expect(broken).to_contain_text("100%")
    gpt = table.get_by_role("row", name=re.compile("^gpt"))
    expect(gpt.get_by_role("cell", name=re.compile(r"\d+(\.\d+)? m?s")).first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^openai: [\d.]+% of \d+ attempts"))).to_be_visible()
    expect(page.locator(".savings")).to_contain_text("less than gpt-4o would have cost")
    variants = page.get_by_role("region", name="Variants of assistant")
    expect(variants.get_by_role("row", name=re.compile("^gpt"))).to_contain_text("75%")
    expect(variants.get_by_role("row", name=re.compile("^claude"))).to_contain_text("25%")


def test_sorting_is_told_to_readers_of_the_screen(admin):
    page = admin.open("/?live=off")
    head = page.get_by_role("region", name="Deployments").get_by_role("columnheader", name="Attempts")
    expect(head).to_have_attribute("aria-sort", "none")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")


def test_what_happens_is_seen_as_it_happens(admin, api):
    page = admin.open("/")
    now = page.get_by_role("region", name="Right now")
    expect(now).to_contain_text("a second at a time")
    expect(now.get_by_text("None since you came.")).to_be_visible()
    api.chat("claude")
    line = now.get_by_role("link", name=re.compile("claude"))
    expect(line).to_be_visible()
    expect(line).to_contain_text("200")
    # It is all that the reader may see, and says so where the rest is filtered.
    expect(admin.open("/?group=gpt").get_by_role("region", name="Right now")).to_contain_text("without the filters")
    page.get_by_role("button", name="Live").click()
    expect(now).to_have_count(0)
    expect(page).to_have_url(re.compile("live=off"))
