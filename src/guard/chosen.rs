//! The guardrails of one request: which they are, and what comes of their looking.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::said::{Said, apart};
use super::{
    Act, Answer, Check, Found, Guardrail, Guardrails, Mode, Modes, Outcome, Question, Refusal,
    Role, Side, Vault, Watch, Why,
};

/// What guardrails elsewhere are told of a request, besides its texts.
#[derive(Debug, Default)]
pub struct Asked {
    pub request_id: Arc<str>,
    pub model: Box<str>,
    /// Who asks: `user_api_key_hash` and the like, as LiteLLM names them.
    pub who: Map<String, Value>,
    /// Headers of the client that name nobody's credentials.
    pub headers: Map<String, Value>,
    /// Who counts what guardrails do.
    pub watch: Option<Arc<dyn Watch>>,
}

/// A guardrail that is asked for by its name, and what the request says to it.
pub type Named<'a> = (Cow<'a, str>, Option<Map<String, Value>>);

/// One guardrail of a request.
#[derive(Clone, Debug)]
pub struct Pick {
    pub rail: Arc<Guardrail>,
    pub modes: Modes,
    /// What the request says to it.
    pub extra: Option<Arc<Map<String, Value>>>,
}

/// What was found, for the log: guardrail and kind, each once; never the thing itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<(Arc<str>, Arc<str>)>);

impl Findings {
    /// A log tells so many.
    const MAX: usize = 32;

    pub fn note(&mut self, guardrail: &Arc<str>, label: &Arc<str>) {
        let is_new = |(a, b): &(Arc<str>, Arc<str>)| a != guardrail || b != label;
        if self.0.len() < Self::MAX && self.0.iter().all(is_new) {
            self.0.push((Arc::clone(guardrail), Arc::clone(label)));
        }
    }
}

/// The guardrails of one request, in the order of the configuration.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub picks: Vec<Pick>,
    pub asked: Arc<Asked>,
}

impl Chosen {
    /// Those that are always asked, and those that are named; `tags` are the request's.
    ///
    /// # Errors
    /// Nothing is called so.
    pub fn of(
        all: &Guardrails,
        names: &[Named<'_>],
        tags: &[Box<str>],
    ) -> Result<Vec<Pick>, Refusal> {
        if let Some((unknown, _)) = names.iter().find(|(name, _)| all.named(name).is_none()) {
            return Err(Refusal { guardrail: Arc::from(&**unknown), why: Why::Unknown });
        }
        let pick = |rail: &Arc<Guardrail>| {
            let mut named = names.iter().filter(|(name, _)| *name == *rail.name).peekable();
            if !rail.default_on && named.peek().is_none() {
                return None;
            }
            let extra = named.find_map(|(_, extra)| extra.clone()).map(Arc::new);
            let modes = rail.when.modes(tags);
            (!modes.is_empty()).then(|| Pick { rail: Arc::clone(rail), modes, extra })
        };
        Ok(all.list.iter().filter_map(pick).collect())
    }

    pub fn at(&self, mode: Mode) -> impl Iterator<Item = &Pick> {
        self.picks.iter().filter(move |pick| pick.modes.has(mode))
    }

    #[must_use]
    pub fn has(&self, mode: Mode) -> bool {
        self.at(mode).next().is_some()
    }

    /// The first that lets nothing go on unseen.
    #[must_use]
    pub fn closed(&self, modes: &[Mode]) -> Option<&Pick> {
        let is_asked = |pick: &&Pick| modes.iter().any(|mode| pick.modes.has(*mode));
        self.picks.iter().filter(is_asked).find(|pick| !pick.rail.fails_open)
    }

    /// Lets those of a mode look at texts, one after the other: each sees what the one before has
    /// left. Of those that only take notes, all look.
    ///
    /// # Errors
    /// The first that refuses.
    pub async fn look(
        &self,
        mode: Mode,
        side: Side,
        texts: &mut [Said<'_>],
        vault: &mut Vault,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        let mut noted = Ok(());
        for pick in self.at(mode) {
            let since = self.asked.begins();
            let looked = pick.look(side, &self.asked, texts, vault, findings).await;
            let answered = *looked.as_ref().unwrap_or(&true);
            let outcome = Outcome::of(looked.as_ref().err(), answered);
            self.asked.tell(&pick.rail, mode, outcome, self.asked.took(since));
            let looked = looked.map(drop);
            match mode {
                Mode::LoggingOnly => noted = noted.and(looked),
                Mode::PreCall | Mode::DuringCall | Mode::PostCall => looked?,
            }
        }
        noted
    }
}

impl Pick {
    /// Whether it may put something else in the place of what it finds.
    #[must_use]
    pub fn masks(&self) -> bool {
        self.rail.masks()
    }

    /// Whether there was an answer.
    async fn look(
        &self,
        side: Side,
        asked: &Asked,
        texts: &mut [Said<'_>],
        vault: &mut Vault,
        findings: &mut Findings,
    ) -> Result<bool, Refusal> {
        match &self.rail.check {
            Check::Here(detector) => {
                let found = texts.iter().map(|said| said.find(&**detector));
                self.apply(side, &found.collect::<Vec<_>>(), texts, vault, findings)?;
            }
            Check::There(_) => {
                let said: Vec<_> = texts.iter().map(|said| (said.role, said.text())).collect();
                match self.ask(side, asked, &said, findings).await? {
                    None => return Ok(false),
                    Some(Answer::Pass | Answer::Blocked { .. }) => {}
                    Some(Answer::Texts(new)) => {
                        for (said, new) in texts.iter_mut().zip(new) {
                            if said.text() != new {
                                findings.note(&self.rail.name, &Arc::from("changed"));
                                said.change(new);
                            }
                        }
                    }
                    Some(Answer::Found(found)) => {
                        let found: Vec<_> = found.into_iter().map(apart).collect();
                        self.apply(side, &found, texts, vault, findings)?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Asks somebody else. An answer is never `Blocked`: that is a refusal. `None`: there was none, and
    /// it goes on.
    pub(super) async fn ask(
        &self,
        side: Side,
        asked: &Asked,
        texts: &[(Role, &str)],
        findings: &mut Findings,
    ) -> Result<Option<Answer>, Refusal> {
        let Check::There(inspector) = &self.rail.check else { return Ok(Some(Answer::Pass)) };
        if texts.iter().all(|(_, text)| text.trim().is_empty()) {
            return Ok(Some(Answer::Pass));
        }
        let name = &self.rail.name;
        let question = Question { side, texts, asked, extra: self.extra.as_deref() };
        match inspector.inspect(question).await {
            Ok(Answer::Blocked { message, label }) => {
                findings.note(name, &label);
                let guardrail = Arc::clone(name);
                Err(Refusal { guardrail, why: Why::Found { message, label } })
            }
            Ok(answer) => Ok(Some(answer)),
            Err(why) => {
                let request_id = &*asked.request_id;
                tracing::warn!(guardrail = &**name, request_id, %why, "a guardrail gave no answer");
                findings.note(name, &Arc::from("no_answer"));
                match self.rail.fails_open {
                    true => Ok(None),
                    false => Err(Refusal { guardrail: Arc::clone(name), why: Why::NoAnswer }),
                }
            }
        }
    }

    /// Does what is to be done with what was found, text by text.
    fn apply(
        &self,
        side: Side,
        found: &[Vec<Found>],
        texts: &mut [Said<'_>],
        vault: &mut Vault,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        let all = || found.iter().flatten();
        all().for_each(|found| findings.note(&self.rail.name, &found.label));
        if let Some(refusal) = all().find_map(|found| self.refusal(found)) {
            return Err(refusal);
        }
        let hides = side == Side::Request && all().any(|found| found.act == Act::Hide);
        if hides {
            texts.iter().for_each(|said| vault.beware(said.text()));
        }
        for (said, found) in texts.iter_mut().zip(found) {
            if found.is_empty() {
                continue;
            }
            let text = said.text();
            let mut out = String::with_capacity(text.len());
            let mut copied = 0;
            for found in found {
                let Some(thing) = text.get(found.at.clone()) else { continue };
                out.push_str(text.get(copied..found.at.start).unwrap_or_default());
                match found.act {
                    Act::Hide if hides => out.push_str(&vault.hide(&found.label, thing)),
                    _ => out.push_str(&instead(found)),
                }
                copied = found.at.end;
            }
            out.push_str(text.get(copied..).unwrap_or_default());
            said.change(out);
        }
        Ok(())
    }

    /// What a finding means for the request, if it may not go on.
    pub(super) fn refusal(&self, found: &Found) -> Option<Refusal> {
        let Act::Block(message) = &found.act else { return None };
        let (message, label) = (Arc::clone(message), Arc::clone(&found.label));
        Some(Refusal { guardrail: Arc::clone(&self.rail.name), why: Why::Found { message, label } })
    }
}

/// What stands in the place of a thing that does not come back. What a model says for the first time is
/// one.
pub(super) fn instead(found: &Found) -> String {
    match &found.act {
        Act::Block(_) => String::new(),
        Act::Mask(tag) => tag.to_string(),
        Act::Hide => format!("<{}>", found.label),
    }
}
