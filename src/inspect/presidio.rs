//! Microsoft Presidio: its analyzer says where personal data is, its anonymizer what stands in its place.
//!
//! Places are counted in characters there, and in bytes here.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Bounds, Client};
use crate::guard::{Act, Answer, Found, Inspector, NoAnswer, Question, Side};

/// What the file says of it.
#[derive(Debug)]
pub struct Settings {
    pub analyzer: String,
    pub anonymizer: Option<String>,
    /// Entities, and whether they are blocked; none: all, masked.
    pub entities: Vec<(String, bool)>,
    /// The client gets its own data back in the reply.
    pub gives_back: bool,
    pub language: String,
    /// The least score by entity; `ALL` for the others.
    pub thresholds: Vec<(String, f64)>,
    pub ad_hoc: Option<Value>,
}

#[derive(Debug)]
pub struct Presidio {
    name: String,
    settings: Settings,
    client: Client,
}

#[derive(Debug, Deserialize)]
struct Entity {
    entity_type: String,
    start: usize,
    end: usize,
    #[serde(default)]
    score: f64,
}

/// What the anonymizer did.
#[derive(Deserialize)]
struct Anonymized {
    text: String,
}

impl Presidio {
    #[must_use]
    pub fn new(name: &str, settings: Settings, bounds: Bounds) -> Self {
        let trim = |base: String, path: &str| {
            let base = base.trim_end_matches('/');
            base.strip_suffix(path).unwrap_or(base).to_owned()
        };
        let settings = Settings {
            analyzer: trim(settings.analyzer, "/analyze"),
            anonymizer: settings.anonymizer.map(|base| trim(base, "/anonymize")),
            ..settings
        };
        Self { name: name.to_owned(), settings, client: Client::new(bounds, Vec::new()) }
    }

    async fn analysed(&self, text: &str) -> Result<Vec<Entity>, NoAnswer> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let Settings { analyzer, entities, language, ad_hoc, .. } = &self.settings;
        let mut asked = json!({"text": text, "language": language});
        if !entities.is_empty() {
            asked["entities"] = entities.iter().map(|(name, _)| Value::from(&**name)).collect();
        }
        if let Some(ad_hoc) = ad_hoc {
            asked["ad_hoc_recognizers"] = ad_hoc.clone();
        }
        let answer = self.client.post(&format!("{analyzer}/analyze"), &asked).await?;
        let found: Vec<Entity> = serde_json::from_value(answer)
            .map_err(|_| NoAnswer("the analyzer's answer is no list of entities".to_owned()))?;
        let is_sure = |entity: &Entity| {
            let of = |name: &str| {
                self.settings.thresholds.iter().find(|(it, _)| it == name).map(|(_, score)| *score)
            };
            of(&entity.entity_type).or_else(|| of("ALL")).is_none_or(|least| entity.score >= least)
        };
        Ok(found.into_iter().filter(is_sure).collect())
    }

    /// What stands in the place of one thing, by the anonymizer's own configuration.
    async fn tag(&self, text: &str, entity: &Entity) -> Result<Arc<str>, NoAnswer> {
        let kind = &entity.entity_type;
        let Some(anonymizer) = &self.settings.anonymizer else {
            return Ok(format!("<{kind}>").into());
        };
        let thing: String =
            text.chars().skip(entity.start).take(entity.end - entity.start).collect();
        let length = thing.chars().count();
        let result = json!({"start": 0, "end": length, "score": entity.score, "entity_type": kind});
        let asked = json!({"text": thing, "analyzer_results": [result]});
        let answer = self.client.post(&format!("{anonymizer}/anonymize"), &asked).await?;
        let said: Anonymized = serde_json::from_value(answer)
            .map_err(|_| NoAnswer("the anonymizer's answer has no text".to_owned()))?;
        if said.text == thing {
            return Err(NoAnswer("the anonymizer changed nothing".to_owned()));
        }
        Ok(said.text.into())
    }

    async fn found(&self, side: Side, text: &str) -> Result<Vec<Found>, NoAnswer> {
        let entities = self.analysed(text).await?;
        if entities.is_empty() {
            return Ok(Vec::new());
        }
        let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        places.push(text.len());
        let mut found = Vec::with_capacity(entities.len());
        for entity in &entities {
            let (Some(start), Some(end)) = (places.get(entity.start), places.get(entity.end))
            else {
                return Err(NoAnswer("the analyzer names a place outside the text".to_owned()));
            };
            if start >= end {
                continue;
            }
            let kind = &*entity.entity_type;
            let blocks =
                self.settings.entities.iter().any(|(name, blocks)| name == kind && *blocks);
            let act = if blocks {
                Act::Block(crate::guard::blocked_entity(kind, &self.name).into())
            } else if self.settings.gives_back && side == Side::Request {
                Act::Hide
            } else {
                Act::Mask(self.tag(text, entity).await?)
            };
            found.push(Found { at: *start..*end, label: kind.into(), act });
        }
        Ok(found)
    }
}

#[async_trait]
impl Inspector for Presidio {
    async fn inspect(&self, question: Question<'_>) -> Result<Answer, NoAnswer> {
        let looking = question.texts.iter().map(|(_, text)| self.found(question.side, text));
        Ok(Answer::Found(try_join_all(looking).await?))
    }

    fn masks(&self) -> bool {
        self.settings.entities.is_empty()
            || self.settings.entities.iter().any(|(_, blocks)| !blocks)
    }
}
