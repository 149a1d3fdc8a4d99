//! What images, sound and orders of documents used.

use super::{Endpoint, Object, Quirks, Units, Usage, elements};
use crate::usage::BYTES_PER_TOKEN;
use crate::wire::{openai, text_bytes};

/// Documents of one search, as Cohere counts.
const SEARCH_DOCUMENTS: u64 = 100;

/// Text of what is said in a second, where nobody told how long it was: 150 words in a minute.
const SPOKEN_BYTES_PER_SECOND: u64 = 15;

/// What a reply says that it used, or what it shows.
pub(super) fn of(reply: &Object, api: Endpoint) -> Option<Usage> {
    let counted = reply.raw_bytes("usage");
    let counted = counted.and_then(|usage| openai::read_usage(usage, Quirks::default()));
    match api {
        Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations => {
            let images = reply.slice("data").map_or(0, |data| elements(&data).len() as u64);
            Some(of_images(counted.unwrap_or_default(), images))
        }
        Endpoint::Transcriptions | Endpoint::Translations => counted.or_else(|| {
            let usage = reply.object("usage");
            let seconds = usage.as_ref().and_then(|usage| number(usage, "seconds"));
            let audio_ms = milliseconds(seconds.or_else(|| number(reply, "duration"))?)?;
            Some(Usage { units: Units { audio_ms, ..Units::default() }, ..Usage::default() })
        }),
        Endpoint::Rerank => of_rerank(reply, counted),
        // Moderation is free.
        Endpoint::Moderations => Some(counted.unwrap_or_default()),
        // What is kept is charged by what it is used for. A batch that is done tells its tokens, but
        // as often as it is asked for: nobody here remembers whether that was counted.
        Endpoint::Files | Endpoint::Batches => Some(Usage::default()),
        _ => counted,
    }
}

/// Tokens of images: all that is generated, unless the parts are told.
pub(super) fn of_images(usage: Usage, images: u64) -> Usage {
    let told = usage.units.image_output_tokens;
    let image_output_tokens = if told > 0 { told } else { usage.output_tokens };
    Usage { units: Units { images, image_output_tokens, ..usage.units }, ..usage }
}

fn of_rerank(reply: &Object, counted: Option<Usage>) -> Option<Usage> {
    let meta = reply.object("meta");
    let billed = meta.as_ref().and_then(|meta| meta.object("billed_units"));
    let searches = billed.as_ref().and_then(|billed| number(billed, "search_units"));
    let tokens = meta.as_ref().and_then(|meta| meta.object("tokens"));
    let read = tokens.or(billed).and_then(|tokens| number(&tokens, "input_tokens"));
    let read = read.map(|tokens| Usage { input_tokens: tokens as u64, ..Usage::default() });
    let usage = counted.or(read);
    match (searches, usage) {
        (None, usage) => usage,
        (Some(searches), usage) => {
            let usage = usage.unwrap_or_default();
            let units = Units { searches: searches as u64, ..usage.units };
            Some(Usage { units, ..usage })
        }
    }
}

/// Subtitles tell how long the sound was: the end of the last one.
pub(super) fn of_text(body: &[u8], api: Endpoint) -> Option<Usage> {
    if api.is_stored() {
        return Some(Usage::default());
    }
    const ARROW: &[u8] = b"-->";
    let at = memchr::memmem::rfind(body, ARROW)?;
    let rest = body.get(at + ARROW.len()..)?.trim_ascii_start();
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let audio_ms = timestamp(std::str::from_utf8(rest.get(..end)?).ok()?)?;
    let units = Units { audio_ms, ..Units::default() };
    let output_tokens = body.len() as u64 / BYTES_PER_TOKEN;
    Some(Usage { output_tokens, units, estimated: true, ..Usage::default() })
}

/// `00:01:02,345` (SRT) or `01:02.345` (VTT) in milliseconds.
fn timestamp(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once([',', '.'])?;
    let mut seconds = 0u64;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let fraction: u64 = fraction.parse().ok().filter(|ms| *ms < 1000)?;
    seconds.checked_mul(1000)?.checked_add(fraction)
}

/// What a request comes to whose provider said nothing. `reply_bytes`: the length of the reply.
#[must_use]
pub fn estimate(api: Endpoint, request: &Object, reply_bytes: u64) -> Usage {
    let tokens_of = |name: &str| {
        request.raw_bytes(name).map_or(0, |text| text_bytes(text) as u64 / BYTES_PER_TOKEN)
    };
    let estimated = Usage { estimated: true, ..Usage::default() };
    match api {
        Endpoint::Speech => {
            let characters = request.str("input").map_or(0, |text| text.chars().count() as u64);
            let units = Units { characters, ..Units::default() };
            Usage { input_tokens: tokens_of("input"), units, ..estimated }
        }
        Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations => {
            Usage { input_tokens: tokens_of("prompt"), ..estimated }
        }
        Endpoint::Transcriptions | Endpoint::Translations => {
            let audio_ms = reply_bytes.saturating_mul(1000) / SPOKEN_BYTES_PER_SECOND;
            let units = Units { audio_ms, ..Units::default() };
            Usage { output_tokens: reply_bytes / BYTES_PER_TOKEN, units, ..estimated }
        }
        Endpoint::Rerank => {
            let documents = request.value("documents");
            let count = documents.as_ref().and_then(|list| list.as_array()).map_or(1, Vec::len);
            let searches = (count as u64).div_ceil(SEARCH_DOCUMENTS).max(1);
            let units = Units { searches, ..Units::default() };
            Usage { input_tokens: tokens_of("query") + tokens_of("documents"), units, ..estimated }
        }
        _ => Usage::default(),
    }
}

fn milliseconds(seconds: f64) -> Option<u64> {
    let fits = seconds.is_finite() && (0.0..1e9).contains(&seconds);
    fits.then(|| (seconds * 1000.0).round() as u64)
}

/// A number that is not negative; some providers write one as a text.
fn number(object: &Object, name: &str) -> Option<f64> {
    let value = object.value(name)?;
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| *number >= 0.0)
}
