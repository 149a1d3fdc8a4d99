//! What a condition may ask of a request, under which name, and of which type it is.

/// Facts that are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Tokens of the prompt.
    InputTokens,
    /// The longest reply that the client takes (`max_tokens`, `max_completion_tokens`).
    MaxTokens,
}

/// Facts that are true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    Stream,
    HasTools,
    HasImages,
}

/// Facts that are texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The model as the client wrote it.
    Model,
    /// `user` of the body.
    User,
    /// The name of the caller's key.
    Key,
    /// The team that the key belongs to.
    Team,
    Region,
}

/// What the clock says, in the zone of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Hour,
    Minute,
}

/// A fact by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Number(Number),
    Clock(Clock),
    Flag(Flag),
    Text(Text),
    Weekday,
    Tags,
    Headers,
    Metadata,
}

/// Every name, for messages and look-up.
pub(super) const NAMES: &[&str] = &[
    "input_tokens",
    "max_tokens",
    "hour",
    "minute",
    "weekday",
    "stream",
    "has_tools",
    "has_images",
    "model",
    "user",
    "key",
    "team",
    "region",
    "tags",
    "headers",
    "metadata",
];

pub(super) const WEEKDAYS: &[&str] =
    &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

pub(super) fn find(name: &str) -> Option<Known> {
    Some(match name {
        "input_tokens" => Known::Number(Number::InputTokens),
        "max_tokens" => Known::Number(Number::MaxTokens),
        "hour" => Known::Clock(Clock::Hour),
        "minute" => Known::Clock(Clock::Minute),
        "weekday" => Known::Weekday,
        "stream" => Known::Flag(Flag::Stream),
        "has_tools" => Known::Flag(Flag::HasTools),
        "has_images" => Known::Flag(Flag::HasImages),
        "model" => Known::Text(Text::Model),
        "user" => Known::Text(Text::User),
        "key" => Known::Text(Text::Key),
        "team" => Known::Text(Text::Team),
        "region" => Known::Text(Text::Region),
        "tags" => Known::Tags,
        "headers" => Known::Headers,
        "metadata" => Known::Metadata,
        _ => return None,
    })
}

/// A day of the week by its name or its first three letters.
pub(super) fn weekday(written: &str) -> Option<usize> {
    let written = written.to_ascii_lowercase();
    WEEKDAYS.iter().position(|day| *day == written || day.get(..3) == Some(written.as_str()))
}
