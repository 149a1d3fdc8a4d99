//! What people were told: by one gateway, and again when its time is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tollgate::admission::Notices as _;

use super::on_each;

#[test]
fn of_many_that_tell_the_same_one_is_the_first() {
    on_each(async |open| {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let hour = Duration::from_secs(3_600);
        let store = Arc::new(open());
        for round in 0..3 {
            let now = now + hour * round;
            let telling = (0..8).map(|_| {
                let store = Arc::clone(&store);
                tokio::task::spawn(async move { store.note("a level", now, now + hour).await })
            });
            let mut first = 0;
            for told in telling.collect::<Vec<_>>() {
                first += usize::from(told.await.unwrap().unwrap());
            }
            assert_eq!(first, 1, "in hour {round}");
        }
        let again = now + hour * 2;
        assert!(!open().note("a level", again, again + hour).await.unwrap(), "after a restart");
        assert!(open().note("another", again, again + hour).await.unwrap());
    });
}
