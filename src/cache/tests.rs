use futures::FutureExt;

use super::*;
use crate::money::Usd;
use crate::usage::Usage;

const NOW: u64 = 1_000_000;

fn entry(body: &'static [u8], lives: Duration) -> Entry {
    Entry {
        kept: Kept::Whole(Bytes::from_static(body)),
        maker: None,
        usage: Usage::default(),
        cost: Usd::ZERO,
        made_ms: NOW,
        expires_ms: NOW + u64::try_from(lives.as_millis()).unwrap(),
    }
}

/// In memory nothing is waited for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn find(replies: &Replies, name: &str) -> Option<Arc<Entry>> {
    at_once(replies.find(Place::Memory, name, NOW, None))
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_is_kept_is_found_until_it_is_deleted() {
    let replies = Replies::default();
    assert!(replies.keep_here(&"a".into(), entry(b"one", MINUTE)));
    assert!(replies.keep_here(&"b".into(), entry(b"two", MINUTE)));
    assert_eq!(find(&replies, "a").unwrap().kept, Kept::Whole(Bytes::from_static(b"one")));
    assert_eq!(at_once(replies.delete(Place::Memory, &["a".into(), "x".into()])), Some(1));
    assert!(find(&replies, "a").is_none());
    assert!(find(&replies, "b").is_some());
    assert!(at_once(replies.flush(Place::Memory)).is_some());
    assert!(find(&replies, "b").is_none());
}

#[test]
fn what_is_too_old_or_too_large_is_not_given() {
    let replies = Replies::default();
    assert!(!replies.keep_here(&"now".into(), entry(b"x", Duration::ZERO)));
    assert!(replies.keep_here(&"a".into(), entry(b"x", MINUTE)));
    let later = |age: Option<Duration>| at_once(replies.find(Place::Memory, "a", NOW + 5_000, age));
    assert!(later(None).is_some());
    assert!(later(Some(Duration::from_secs(4))).is_none());
    assert!(at_once(replies.find(Place::Memory, "a", NOW + 60_000, None)).is_none());
    let mut large = entry(b"", MINUTE);
    large.kept = Kept::Whole(vec![0; ENTRY_BYTES_MAX + 1].into());
    assert!(!replies.keep_here(&"large".into(), large));
}

#[test]
fn the_memory_is_bounded_by_bytes() {
    let replies = Replies::new(64 * 1024, None);
    for number in 0..1_000 {
        let mut one = entry(b"", MINUTE);
        one.kept = Kept::Whole(vec![0; 1_024].into());
        assert!(replies.keep_here(&number.to_string().into(), one));
    }
    let (entries, bytes, kept) = replies.stats();
    assert!(bytes <= 64 * 1024, "{bytes}");
    assert!((1..=51).contains(&entries), "{entries}");
    assert_eq!(kept, 1_000);
}

#[test]
fn without_the_place_outside_everything_is_a_miss() {
    let replies = Replies::default();
    assert!(!at_once(replies.keep_elsewhere("a", &entry(b"x", MINUTE))));
    assert!(at_once(replies.find(Place::Redis, "a", NOW, None)).is_none());
    assert_eq!(at_once(replies.flush(Place::Redis)), None);
}
