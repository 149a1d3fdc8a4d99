//! OpenAI's `web_search_options`, as Anthropic's own tool.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::wire::fields::Text;

/// The tool's name, by which a choice may refer to it.
pub(super) const NAME: &str = "web_search";

/// How many searches each size of OpenAI's `web_search_options` allows; LiteLLM's numbers.
const SEARCHES: [(&str, u32); 3] = [("low", 1), ("medium", 5), ("high", 10)];

#[derive(Debug, Serialize)]
pub(in crate::wire::anthropic) struct WebSearch<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uses: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_location: Option<Location<'a>>,
    #[serde(flatten)]
    filters: Filters<'a>,
}

/// Of the Responses API; Anthropic has them in the tool itself.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Filters<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    allowed_domains: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    blocked_domains: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Serialize)]
struct Location<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    place: Place<'a>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Place<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    city: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    region: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    country: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    timezone: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct WebSearchOptions<'a> {
    #[serde(borrow)]
    search_context_size: Option<Text<'a>>,
    #[serde(borrow)]
    user_location: Option<UserLocation<'a>>,
    #[serde(borrow)]
    filters: Option<Filters<'a>>,
}

#[derive(Deserialize)]
struct UserLocation<'a> {
    #[serde(borrow)]
    approximate: Option<Place<'a>>,
}

impl<'a> WebSearchOptions<'a> {
    pub(super) fn translate(self) -> WebSearch<'a> {
        let size = self.search_context_size.map(|size| size.0);
        let known = SEARCHES.iter().find(|(name, _)| size.as_deref() == Some(*name));
        let place = self.user_location.and_then(|location| location.approximate);
        WebSearch {
            kind: "web_search_20250305",
            name: NAME,
            max_uses: known.map(|(_, uses)| *uses),
            filters: self.filters.unwrap_or_default(),
            user_location: place.map(|place| Location { kind: "approximate", place }),
        }
    }
}
