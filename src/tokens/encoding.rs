//! The tables of OpenAI's models: which model has which, and counting with them.

use std::sync::atomic::{AtomicBool, Ordering};

use tiktoken::CoreBpe;

/// A vocabulary of byte pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// GPT-3.5, GPT-4 and the embedding models.
    Cl100k,
    /// GPT-4o, GPT-4.1, GPT-5, the o series, gpt-oss.
    O200k,
}

static CL100K_READY: AtomicBool = AtomicBool::new(false);
static O200K_READY: AtomicBool = AtomicBool::new(false);

impl Encoding {
    /// The table of a model, whose name may have a provider's prefix. `None`: nobody has published
    /// one, or it is not OpenAI's.
    #[must_use]
    pub fn of(model: &str) -> Option<Self> {
        let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
        match tiktoken::model_to_encoding(name)? {
            "cl100k_base" => Some(Self::Cl100k),
            // The second one adds special tokens only, which no text is turned into here.
            "o200k_base" | "o200k_harmony" => Some(Self::O200k),
            _ => None,
        }
    }

    /// Whether the table has been read.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.ready().load(Ordering::Acquire)
    }

    /// Tokens of a text. Reads the table if that has not happened yet.
    #[must_use]
    pub fn count(self, text: &str) -> u64 {
        self.table().map_or_else(|| super::estimate::tokens(text), |table| table.count(text) as u64)
    }

    /// The text of tokens; `None`: they are of another table. Reads the table if that has not happened
    /// yet.
    #[must_use]
    pub fn text(self, tokens: &[u32]) -> Option<String> {
        let table = self.table()?;
        let each = tokens.iter().map(|token| table.decode(&[*token]));
        let bytes: Vec<Vec<u8>> = each.collect();
        if bytes.iter().any(Vec::is_empty) {
            return None;
        }
        // A text may be cut within a character where it is cut into chunks of tokens.
        Some(String::from_utf8_lossy(&bytes.concat()).into_owned())
    }

    /// Reads the table if that has not happened yet: some 100 ms.
    pub fn load(self) {
        self.table();
    }

    fn table(self) -> Option<&'static CoreBpe> {
        let table = tiktoken::get_encoding(match self {
            Self::Cl100k => "cl100k_base",
            Self::O200k => "o200k_base",
        });
        self.ready().store(true, Ordering::Release);
        table
    }

    const fn ready(self) -> &'static AtomicBool {
        match self {
            Self::Cl100k => &CL100K_READY,
            Self::O200k => &O200K_READY,
        }
    }
}
