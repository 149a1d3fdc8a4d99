use super::*;
use crate::catalog::sample;
use crate::secret::Secret;

/// Everything is told, by Slack.
fn settings() -> Settings {
    let mut settings = Settings::default();
    for kind in Kind::ALL {
        settings.tell(kind, Arc::from([Secret::new("http://slack.test")]));
    }
    settings
}

fn deployment(line: &str, region: Option<&str>) -> Arc<Deployment> {
    let mut deployment = sample::deployment(line);
    deployment.info.region = region.map(Into::into);
    Arc::new(deployment)
}

fn failed(class: &'static str, id: &str) -> News {
    News::Failed(Failed {
        group: "gpt <4>".into(),
        deployment: Some(deployment("gpt = openai/gpt-4o #east", None)),
        class,
        status: 502,
        request_id: id.into(),
    })
}

struct Room {
    desk: Desk,
    post: Post,
    settings: Settings,
    start: Instant,
}

impl Room {
    fn new() -> Self {
        let (post, _) = Post::new();
        Self { desk: Desk::default(), post, settings: settings(), start: Instant::now() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn hear(&mut self, news: News, seconds: u64) -> Vec<Out> {
        let rest = |_: &str| Some(Duration::from_secs(5));
        let now = self.at(seconds);
        self.desk.hear(news, &self.settings, rest, &self.post, now)
    }

    fn due(&mut self, seconds: u64) -> Vec<(Kind, String)> {
        let now = self.at(seconds);
        let letters = self.desk.due(&self.settings, now);
        letters.into_iter().map(|letter| (letter.kind, letter.text)).collect()
    }

    fn look(&mut self, stores: Stores, seconds: u64) {
        let now = self.at(seconds);
        self.desk.look_at(&stores, &self.settings, &self.post, now);
    }
}

#[test]
fn failures_of_one_class_are_one_message() {
    let mut room = Room::new();
    for id in ["a", "b", "c"] {
        assert!(room.hear(failed("server", id), 0).is_empty());
    }
    room.hear(failed("timeout", "d"), 0);
    let letters = room.due(2);
    let texts: Vec<_> = letters.iter().map(|(_, text)| &**text).collect();
    let deployment = "*Deployment:* `east` (`openai` `gpt-4o` at `https://api.example.com/v1`)";
    let three = format!(
        "*Requests fail*: `gpt &lt;4&gt;`, `server` (status 502), 3 times within 2 s\n\
         {deployment}\n*Last request:* `c`"
    );
    let one = format!(
        "*Requests fail*: `gpt &lt;4&gt;`, `timeout` (status 502)\n{deployment}\n\
         *Last request:* `d`"
    );
    assert_eq!(texts, [three, one]);
    assert!(letters.iter().all(|(kind, _)| *kind == Kind::Exceptions));
}

#[test]
fn nobody_is_told_of_kinds_that_are_not_wanted() {
    let mut room = Room::new();
    room.settings.tell(Kind::Exceptions, Arc::from([]));
    let mut quiet = Settings::default();
    quiet.tell(Kind::Budgets, Arc::from([Secret::new("http://slack.test")]));
    room.settings = quiet;
    room.hear(failed("server", "a"), 0);
    let deployment = deployment("gpt = openai/gpt-4o #east", Some("eu"));
    let out = room.hear(News::Stumbled { deployment, is_timeout: true }, 0);
    room.look(Stores { database_is_away: true, untracked: 3, ..Stores::default() }, 0);
    room.look(Stores { database_is_away: true, untracked: 5, ..Stores::default() }, 9);
    assert!(room.due(20).is_empty() && out.is_empty());
}

#[test]
fn a_rest_is_told_with_its_reason_and_length() {
    let mut room = Room::new();
    let it = deployment("gpt = openai/gpt-4o #east", None);
    room.hear(News::Rests(Rests { deployment: it, class: "auth", status: Some(401) }), 0);
    let text = "*A deployment rests* for 5 s after `auth` (status 401)\n*Deployment:* `east` \
                (`openai` `gpt-4o` at `https://api.example.com/v1`)\n*Model group:* `gpt`";
    assert_eq!(room.due(2), [(Kind::Cooldowns, text.to_owned())]);
}

#[test]
fn slow_and_hanging_requests_say_how_long() {
    let mut room = Room::new();
    let slow = Slow {
        group: "gpt".into(),
        deployment: None,
        took: Duration::from_millis(302_400),
        request_id: "a".into(),
    };
    room.hear(News::Slow(slow), 0);
    let waited = Duration::from_secs(300);
    let hanging = Hanging { group: "gpt".into(), request_id: "b".into(), waited };
    let now = room.at(300);
    room.desk.hangs(hanging, &room.post, now);
    let texts: Vec<_> = room.due(302).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        texts,
        [
            "*Responses are slow*: `gpt` took 302 s, more than 5 min\n*Last request:* `a`",
            // Told two seconds later, when it may have one.
            "*Requests are hanging*: `gpt` had no answer for 5 min, more than 5 min\n\
             *Last request:* `b`",
        ]
    );
}

#[test]
fn outages_are_of_deployments_and_of_regions() {
    let mut room = Room::new();
    room.settings.outages.minor = 3;
    let east = deployment("gpt = azure/gpt-4o #east", Some("eastus"));
    let other = deployment("gpt = azure/gpt-4o #east2", Some("eastus"));
    let mut told = Vec::new();
    for (at, it) in [&east, &east, &other, &east].into_iter().enumerate() {
        let news = News::Stumbled { deployment: Arc::clone(it), is_timeout: at == 0 };
        told.extend(room.hear(news, 1));
    }
    let told: Vec<_> = told.iter().map(|out| (&*out.notice, &*out.letter.text)).collect();
    let region = "*Minor service outage* within 1 min\n*Region:* `eastus`\n*Provider:* `azure`\n\
                  *Deployments:* 2\n*Timeouts:* 1\n*Errors:* 2";
    let deployment = "*Minor service outage* within 1 min\n*Deployment:* `east` (`azure` `gpt-4o` \
                      at `https://api.example.com/v1`)\n*Timeouts:* 1\n*Errors:* 2";
    assert_eq!(
        told,
        [
            ("outage region_outage_alerts Minor azure eastus", region),
            ("outage outage_alerts Minor east", deployment),
        ]
    );
}

#[test]
fn a_store_that_is_away_is_told_once_and_when_it_is_back() {
    let mut room = Room::new();
    let away = Stores { database_is_away: true, ..Stores::default() };
    room.look(away, 0);
    room.look(Stores::default(), 2);
    assert!(room.due(10).is_empty(), "that was no outage");
    (20..25).for_each(|second| room.look(away, second));
    let gone = "*The database does not answer*: requests are served on without it.";
    assert_eq!(room.due(25), [(Kind::Stores, gone.to_owned())]);
    room.look(Stores::default(), 40);
    let back = "*The database is back* after 20 s.";
    assert_eq!(room.due(42), [(Kind::Stores, back.to_owned())]);
    room.look(Stores { redis_is_away: true, ..Stores::default() }, 50);
    room.look(Stores { redis_is_away: true, ..Stores::default() }, 53);
    assert!(room.due(55)[0].1.starts_with("*Redis does not answer*"));
}

#[test]
fn spending_that_is_lost_is_told_as_it_grows() {
    let mut room = Room::new();
    let stores = |untracked, is_blocked| Stores { untracked, is_blocked, ..Stores::default() };
    room.look(stores(4, false), 0);
    assert!(room.due(9).is_empty(), "that was before");
    room.look(stores(6, true), 10);
    room.look(stores(6, true), 11);
    let texts: Vec<_> = room.due(12).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        texts,
        [
            "*Spending is not tracked*: the disk takes no record of it.",
            "*Spending is not tracked*: 2 records were lost, or refused by the database.",
        ]
    );
}
