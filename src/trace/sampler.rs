//! Which traces are kept, in the words of `OTEL_TRACES_SAMPLER`.

use super::context::{Context, TraceId};

/// Decides at the beginning of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// A caller that has decided for the whole trace is followed.
    pub follows_parent: bool,
    /// What holds for a trace that begins here.
    pub root: Root,
}

/// What holds for a trace that begins here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root {
    All,
    None,
    /// This share, from 0 to 1; the same traces wherever the same share is kept.
    Share(f64),
}

impl Default for Sampler {
    fn default() -> Self {
        Self { follows_parent: true, root: Root::All }
    }
}

impl Sampler {
    /// Reads the sampler's name and its argument; `None`: there is no such name, or the argument is
    /// no share.
    #[must_use]
    pub fn read(name: &str, argument: Option<&str>) -> Option<Self> {
        let (follows_parent, name) = match name.strip_prefix("parentbased_") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let root = match name {
            "always_on" => Root::All,
            "always_off" => Root::None,
            "traceidratio" => {
                let share: f64 = argument.map_or(Ok(1.0), str::parse).ok()?;
                Root::Share(Some(share).filter(|share| (0.0..=1.0).contains(share))?)
            }
            _ => return None,
        };
        Some(Self { follows_parent, root })
    }

    /// Whether a trace is kept.
    #[must_use]
    pub fn keeps(&self, trace: TraceId, parent: Option<&Context>) -> bool {
        if let Some(parent) = parent.filter(|_| self.follows_parent) {
            return parent.sampled;
        }
        match self.root {
            Root::All => true,
            Root::None => false,
            // 63 bits, so that a share of 1 is all of them without overflow.
            Root::Share(share) => ((trace.low() >> 1) as f64) < share * (1u64 << 63) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::SpanId;
    use super::*;

    #[test]
    fn names_are_those_of_the_standard() {
        let read = |name, argument| Sampler::read(name, argument);
        assert_eq!(read("parentbased_always_on", None), Some(Sampler::default()));
        let share = Sampler { follows_parent: false, root: Root::Share(0.25) };
        assert_eq!(read("traceidratio", Some("0.25")), Some(share));
        for (name, argument) in
            [("jaeger_remote", None), ("traceidratio", Some("2")), ("traceidratio", Some("x"))]
        {
            assert_eq!(read(name, argument), None, "{name} {argument:?}");
        }
    }

    #[test]
    fn a_caller_that_has_decided_is_followed() {
        let parent = |sampled| Context { trace: TraceId::new(7), span: SpanId::new(1), sampled };
        let sampler = Sampler::read("parentbased_always_off", None).unwrap();
        assert!(sampler.keeps(TraceId::new(7), Some(&parent(true))));
        assert!(!sampler.keeps(TraceId::new(7), None));
        let all = Sampler::read("always_on", None).unwrap();
        assert!(all.keeps(TraceId::new(7), Some(&parent(false))));
    }

    #[test]
    fn a_share_is_that_share() {
        let ids = |count: u64| {
            (0..count).map(|number| TraceId::new(u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c))
        };
        let kept = |share| {
            let sampler = Sampler { follows_parent: true, root: Root::Share(share) };
            ids(10_000).filter(|id| sampler.keeps(*id, None)).count()
        };
        assert_eq!((kept(0.0), kept(1.0)), (0, 10_000));
        assert!((2_000..3_000).contains(&kept(0.25)), "{}", kept(0.25));
    }
}
