//! Conditions as tables: what they are worth for a request, and what is said of wrong ones.

use std::time::Duration;

use serde_json::json;

use super::*;

/// A request that has everything, with a number of tokens.
struct Sample {
    tokens: f64,
    bare: bool,
    tags: Vec<Box<str>>,
    metadata: Value,
}

fn sample() -> Sample {
    Sample {
        tokens: 500.0,
        bare: false,
        tags: vec!["batch".into(), "eu".into()],
        metadata: json!({"tier": "gold", "score": 7, "beta": true, "features": ["a", "b"],
            "cost-centre": "x1", "nested": {"level": "3"}, "off": false, "nothing": null}),
    }
}

/// A request without anything that a client may leave out.
fn bare() -> Sample {
    Sample { bare: true, tags: Vec::new(), metadata: Value::Null, ..sample() }
}

impl Facts for Sample {
    fn number(&self, fact: Number) -> Option<f64> {
        match fact {
            Number::InputTokens => Some(self.tokens),
            Number::MaxTokens => (!self.bare).then_some(256.0),
        }
    }

    fn flag(&self, fact: Flag) -> bool {
        !self.bare && fact != Flag::HasImages
    }

    fn text(&self, fact: Text) -> Option<Cow<'_, str>> {
        match fact {
            Text::Model => Some("gpt-4o-mini".into()),
            _ if self.bare => None,
            Text::User => Some("ann@example.com".into()),
            Text::Key => Some("master".into()),
            Text::Team => None,
            Text::Region => Some("eu-west-1".into()),
        }
    }

    fn tags(&self) -> &[Box<str>] {
        &self.tags
    }

    fn header(&self, name: &str) -> Option<&str> {
        match name {
            "x-tier" if !self.bare => Some("gold"),
            "x-level" if !self.bare => Some(" 3"),
            _ => None,
        }
    }

    fn metadata(&self, path: &[Box<str>]) -> Option<Cow<'_, Value>> {
        let value = path.iter().try_fold(&self.metadata, |value, name| value.get(&**name))?;
        (!value.is_null()).then_some(Cow::Borrowed(value))
    }

    /// Saturday, 2026-11-21, 23:30 in UTC.
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_303_800)
    }
}

fn holds(condition: &str, request: &Sample) -> bool {
    let parsed = Condition::parse(condition);
    parsed.unwrap_or_else(|error| panic!("{condition}: {error:?}")).holds(request, &TimeZone::UTC)
}

#[test]
fn the_bounds_of_the_guide_are_exact() {
    let at = |tokens| Sample { tokens, ..sample() };
    for (tokens, short, long) in
        [(99.0, true, false), (100.0, false, false), (1000.0, false, false), (1001.0, false, true)]
    {
        assert_eq!(holds("input_tokens < 100", &at(tokens)), short, "{tokens}");
        assert_eq!(holds("input_tokens > 1000", &at(tokens)), long, "{tokens}");
        assert_eq!(holds("input_tokens > 1K", &at(tokens)), long, "{tokens}");
    }
}

#[test]
fn conditions_that_hold_for_the_sample() {
    for condition in [
        "input_tokens == 500",
        "input_tokens >= 500 and input_tokens <= 500",
        "input_tokens + max_tokens > 700",
        "input_tokens % 2 == 0",
        "-input_tokens < -499",
        "input_tokens * 2 + 1 == 1001",
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 - 2 - 1 == 4",
        "0.1 + 0.2 == 0.3",
        "input_tokens < 10K && input_tokens < 0.5M",
        "input_tokens in [1, 500]",
        "input_tokens not in [1, 2]",
        "stream",
        "stream == true",
        "stream and has_tools and not has_images",
        "stream && has_tools && !has_images",
        "has_images or stream",
        "has_images || stream",
        "not (has_images or not stream)",
        "not has_images and stream",
        "model == \"gpt-4o-mini\"",
        "model == 'gpt-4o-mini'",
        "model != 'gpt-4o'",
        "model starts_with \"gpt-\"",
        "model ends_with 'mini'",
        "model contains \"4o\"",
        "model not contains \"claude\"",
        "model matches \"^gpt-\\d+o\"",
        "model in ['a', 'gpt-4o-mini',]",
        "user matches '(?i)@EXAMPLE\\.com$'",
        "key == 'master'",
        "region starts_with 'eu'",
        "tags contains 'batch'",
        "'eu' in tags",
        "'us' not in tags",
        "tags not contains 'us'",
        "headers['X-Tier'] == 'gold'",
        "headers.x-tier == 'gold'",
        "headers['x-level'] >= 3",
        "headers['x-level'] in [3, 4]",
        "headers['x-tier'] contains 'ol'",
        "metadata.tier == 'gold'",
        "metadata[\"tier\"] in ['gold', 'silver']",
        "metadata.score > 6.5",
        "metadata.score == '7'",
        "metadata.beta",
        "metadata.beta == true",
        "metadata.off == false",
        "not metadata.off",
        "metadata.features contains 'b'",
        "'a' in metadata.features",
        "metadata.cost-centre == 'x1'",
        "metadata.nested.level == 3",
        "headers['x-tier'] == metadata.tier",
        "exists(user) and exists(tags) and exists(metadata.score) and exists(max_tokens)",
        "not exists(team)",
        "not exists(metadata.nothing)",
        "hour == 23 and minute == 30",
        "hour >= 22 or hour < 6",
        "weekday == 'saturday'",
        "weekday in ['Sat', 'sun']",
        "weekday not in ['mon', 'tue']",
        "weekday != 'friday'",
        "'sat' == weekday",
        "true",
        "not false",
    ] {
        assert!(holds(condition, &sample()), "{condition}");
        let reversed = format!("not ({condition})");
        assert!(!holds(&reversed, &sample()), "{reversed}");
    }
}

#[test]
fn a_comparison_with_what_is_missing_is_false_either_way() {
    for condition in [
        "user == 'ann'",
        "user != 'ann'",
        "user in ['ann']",
        "user not in ['ann']",
        "user contains 'a'",
        "user not contains 'a'",
        "user matches '.*'",
        "max_tokens < 10",
        "max_tokens >= 10",
        "max_tokens + 1 > 0",
        "headers['x-tier'] == 'gold'",
        "headers['x-tier'] != 'gold'",
        "metadata.tier == 'gold'",
        "metadata.beta",
        "metadata.beta == false",
        "metadata.features not contains 'a'",
        "region starts_with 'eu'",
        "exists(user)",
        "exists(tags)",
        "input_tokens / 0 > 1",
    ] {
        assert!(!holds(condition, &bare()), "{condition}");
    }
    // A request always has tags, if only none.
    assert!(holds("'us' not in tags", &bare()));
    // A header that is no number compares with none.
    assert!(!holds("headers['x-tier'] > 1", &sample()));
    assert!(!holds("headers['x-tier'] != 1", &sample()));
}

#[test]
fn the_clock_is_that_of_the_zone() {
    let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
    let condition = Condition::parse("weekday == 'sunday' and hour == 8").unwrap();
    assert!(condition.holds(&sample(), &tokyo));
    assert!(!condition.holds(&sample(), &TimeZone::UTC));
}

#[test]
fn or_binds_less_than_and_and_both_stop_early() {
    assert!(holds("true or false and false", &sample()));
    assert!(!holds("(true or false) and false", &sample()));
    /// Panics when it is asked for what a condition must not need.
    struct Costly(Sample);
    impl Facts for Costly {
        fn number(&self, _: Number) -> Option<f64> {
            panic!("the tokens were counted")
        }
        fn flag(&self, fact: Flag) -> bool {
            self.0.flag(fact)
        }
        fn text(&self, fact: Text) -> Option<Cow<'_, str>> {
            self.0.text(fact)
        }
        fn tags(&self) -> &[Box<str>] {
            self.0.tags()
        }
        fn header(&self, name: &str) -> Option<&str> {
            self.0.header(name)
        }
        fn metadata(&self, path: &[Box<str>]) -> Option<Cow<'_, Value>> {
            self.0.metadata(path)
        }
        fn now(&self) -> SystemTime {
            self.0.now()
        }
    }
    for condition in ["stream or input_tokens > 1", "not (has_images and input_tokens > 1)"] {
        let condition = Condition::parse(condition).unwrap();
        assert!(condition.holds(&Costly(sample()), &TimeZone::UTC));
    }
}

#[test]
fn a_condition_speaks_of_the_models_it_compares_with() {
    let speaks =
        |condition: &str, model: &str| Condition::parse(condition).unwrap().speaks_of(model);
    assert!(speaks("model == 'smart' and input_tokens > 5", "smart"));
    assert!(speaks("model != 'smart'", "smart"));
    assert!(speaks("model in ['a', 'b']", "b"));
    assert!(speaks("not (model starts_with 'gpt-')", "gpt-4"));
    assert!(speaks("model matches '^o\\d'", "o3"));
    assert!(!speaks("model starts_with 'gpt-'", "claude"));
    assert!(!speaks("user == 'smart'", "smart"));
}

/// `column width: message (help)` for every way of writing something wrong.
#[test]
fn wrong_conditions_are_told_with_their_column() {
    for (condition, expected) in [
        ("input_tokns < 100", "1+11: `input_tokns` is not a fact about requests ?input_tokns"),
        ("input_tokens <", "15+1: expected a fact, a number, a text or a bracket, found the end"),
        ("input_tokens < 'x'", "16+3: expected a number, found a text"),
        ("input_tokens = 1", "14+1: `=` has no meaning here (write `==` to compare)"),
        (
            "input_tokens",
            "1+12: expected a condition, found a number (compare it with a number, as in `input_tokens < 100`)",
        ),
        ("stream and", "11+1: expected a fact, a number, a text or a bracket, found the end"),
        ("stream an has_tools", "8+2: expected an operator or the end, found `an` ?an"),
        ("(stream", "1+1: this bracket has no closing `)`"),
        ("stream)", "7+1: expected an operator or the end, found `)`"),
        ("model == gpt-4o", "10+6: `gpt-4o` is not in quotes (write `\"gpt-4o\"`)"),
        ("model == \"gpt", "10+1: the text that begins here has no closing `\"`"),
        ("model < 'a'", "1+5: expected a number, found a text"),
        ("model == 4", "1+5: expected a number, found a text"),
        (
            "model in 'gpt'",
            "10+5: expected a list, found a text (write `[\"a\", \"b\"]`; for a part of a text, `user contains \"a\"`)",
        ),
        ("model in []", "10+2: this list is empty: nothing is in it"),
        ("model in ['a', 1]", "16+1: a list holds numbers or texts, not both"),
        ("model in ['a', user]", "16+4: a list holds numbers or texts in quotes"),
        ("model in ['a'", "10+1: this bracket has no closing `]`"),
        ("model matches '('", "15+3: not a pattern: unclosed group"),
        (
            "model matches user",
            "15+4: `matches` takes a pattern in quotes (as in `model matches \"^gpt-4\"`)",
        ),
        ("model matches '(a{1000}){1000}'", "15+17: this pattern is too large"),
        (
            "1 < input_tokens < 5",
            "18+1: comparisons cannot be chained (join two comparisons with `and`)",
        ),
        (
            "tags == 'a'",
            "6+2: a list is equal to nothing (write `tags contains \"a\"`, or `user in [\"a\", \"b\"]`)",
        ),
        (
            "tags",
            "1+4: expected a condition, found the list of tags (write `tags contains \"name\"`)",
        ),
        (
            "headers == 'a'",
            "1+7: `headers` needs the name of a header (write `headers[\"x-name\"]`)",
        ),
        ("headers[x] == 'a'", "9+1: expected a text in quotes, found `x`"),
        (
            "metadata > 3",
            "1+8: `metadata` needs a name within it (write `metadata.name` or `metadata[\"name\"]`)",
        ),
        ("model.name == 'a'", "7+4: `model` has no parts"),
        ("weekday == 'satday'", "12+8: `satday` is not a day of the week ?satday"),
        ("weekday < 3", "1+7: expected a number, found a day of the week"),
        (
            "user == null",
            "9+4: nothing is equal to nothing here (write `exists(user)` or `not exists(user)`)",
        ),
        (
            "exists(stream)",
            "8+6: expected a fact that a request may lack, found true or false (as in `exists(user)` or `exists(headers[\"x-name\"])`)",
        ),
        (
            "not input_tokens",
            "5+12: expected a condition, found a number (compare it with a number, as in `input_tokens < 100`)",
        ),
        ("user not = 'a'", "10+1: `=` has no meaning here (write `==` to compare)"),
        ("user not 'a'", "10+3: expected `in` or `contains` after `not`, found the text \"a\""),
        (
            "input_tokens < 10kb",
            "16+4: `10kb` is not a number (write `1000`, `1_000`, `1.5`, `10K` (thousands) or `2M` (millions))",
        ),
        ("", "1+1: expected a fact, a number, a text or a bracket, found the end"),
        ("stream & true", "8+1: `&` has no meaning here (write `and` or `&&`)"),
        ("größe > 3", "1+5: `größe` is not a fact about requests ?größe"),
        ("'ä' == größe", "8+5: `größe` is not a fact about requests ?größe"),
    ] {
        let error = Condition::parse(condition).map(|_| ()).expect_err(condition);
        let Malformed { at, width, message, help, unknown } = error;
        let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
        let unknown = unknown.map(|(word, _)| format!(" ?{word}")).unwrap_or_default();
        assert_eq!(
            format!("{}+{width}: {message}{help}{unknown}", at + 1),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_and_not_run_into() {
    let deep = format!("{}stream{}", "(".repeat(10_000), ")".repeat(10_000));
    for condition in ["not ".repeat(3_000), deep, "x".repeat(9_000), "-".repeat(8_000)] {
        assert!(Condition::parse(&condition).is_err());
    }
    let sum = vec!["1"; 200].join(" + ") + " > 1";
    assert!(Condition::parse(&sum).is_err());
    let leaning = format!("{}stream{}", "(".repeat(60), " == true)".repeat(60));
    assert!(Condition::parse(&leaning).is_ok(), "and it takes no time");
    let wide = vec!["input_tokens > 1"; 300].join(" and ");
    assert!(Condition::parse(&wide).is_ok());
}

/// Whatever is typed ends in a condition or a message whose place is within the text.
#[test]
fn no_text_ends_in_a_panic() {
    let pieces = [
        "input_tokens",
        "tags",
        "headers",
        "metadata",
        ".",
        "x-y",
        "[",
        "]",
        "(",
        ")",
        "'a'",
        "\"",
        "1",
        "2K",
        "<",
        "==",
        "!=",
        "in",
        "not",
        "and",
        "or",
        "!",
        "-",
        "+",
        "/",
        "contains",
        "matches",
        "exists",
        "weekday",
        "'mon'",
        ",",
        "true",
        "é",
    ];
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let count = rng.usize(1..9);
        let words: Vec<&str> = (0..count).map(|_| pieces[rng.usize(..pieces.len())]).collect();
        let text = words.join(if rng.bool() { " " } else { "" });
        match Condition::parse(&text) {
            Ok(condition) => drop(condition.holds(&sample(), &TimeZone::UTC)),
            Err(error) => assert!(error.at <= text.chars().count(), "{text}: {error:?}"),
        }
    }
}
