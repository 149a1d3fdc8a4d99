//! An account, and how well it is known: what the ledger said, and what it cannot have said yet.
//!
//! The ledger is right about all that was written to it. What was paid here and may still be on its way
//! is what was paid since a mark; a mark holds once everything that was paid before it is known to be
//! in the ledger. Until then the ledger may raise a sum, and not lower it.

use jiff::Timestamp;

use crate::admission::claim::{Claim, Key, Moment};
use crate::admission::counters::{Crossed, Due, Known, Mark, Reached, Terms};
use crate::money::Usd;
use crate::spend::{Account, Budget};

/// How soon the ledger is asked again about what it cannot know for sure yet.
const CONFIRM_MS: u64 = 5_000;
/// How long nobody else asks while one does.
const ASKING_MS: u64 = 10_000;
/// How soon after a change elsewhere: what was on its way is written by then.
const RECHECK_MS: u64 = 1_500;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) account: Account,
    /// An operator has changed what was spent: the ledger is to be asked before anything is decided.
    forgotten: bool,
    /// When the ledger is asked again.
    next_ms: u64,
    mark: Mark,
    /// How things stood when it was last asked.
    asked: Option<Mark>,
    /// The most that may be spent during an episode in which this process is on its own.
    ration: Option<(u64, Usd)>,
    told: Told,
}

/// Of which levels somebody was told already, of these bounds in this period.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    max: Option<Usd>,
    soft: Option<Usd>,
    resets: Option<Timestamp>,
    levels: Reached,
}

impl Entry {
    /// An account of which the ledger has just told.
    pub(super) fn new(known: &Known, now_ms: u64) -> Self {
        Self {
            account: Account::new(known.term, known.spent),
            forgotten: false,
            next_ms: now_ms.saturating_add(CONFIRM_MS),
            mark: Mark { at_ms: now_ms, paid: Usd::ZERO },
            asked: None,
            ration: None,
            told: Told::default(),
        }
    }

    /// Whether decisions may go by it.
    pub(super) const fn is_known(&self) -> bool {
        !self.forgotten
    }

    /// Takes a sum as it is.
    pub(super) fn know(&mut self, known: &Known, now_ms: u64) {
        self.account.know(known.term, known.spent);
        self.forgotten = false;
        self.mark = self.now(now_ms);
        self.asked = None;
        self.next_ms = now_ms.saturating_add(CONFIRM_MS);
    }

    /// Whether the ledger is to be asked; tells it once for each time.
    pub(super) fn due(&mut self, now_ms: u64, key: impl FnOnce() -> Key) -> Option<Due> {
        if now_ms < self.next_ms || self.forgotten {
            return None;
        }
        // Asked again by the next one, if nobody answers for so long.
        self.next_ms = now_ms.saturating_add(ASKING_MS);
        let mark = self.now(now_ms);
        self.asked = Some(mark);
        Some(Due { key: key(), mark })
    }

    /// Takes over what the ledger has answered. `written_ms`: all that was paid until then was in it
    /// when it was asked.
    pub(super) fn correct(
        &mut self,
        mark: Mark,
        known: &Known,
        written_ms: Option<u64>,
        now_ms: u64,
        refresh_ms: Option<u64>,
    ) {
        if self.asked != Some(mark) || self.forgotten {
            // Somebody has learned something newer meanwhile.
            return;
        }
        self.asked = None;
        let holds = written_ms.is_some_and(|written| written >= self.mark.at_ms);
        let on_its_way = match holds {
            true => self.account.settled().minus(self.mark.paid),
            false => Usd::from_pico(u64::MAX),
        };
        self.account.learn(known.term, known.spent, on_its_way);
        let confirm = now_ms.saturating_add(CONFIRM_MS);
        let refresh = refresh_ms.map_or(u64::MAX, |every| now_ms.saturating_add(every));
        if holds {
            self.mark = mark;
            self.next_ms = refresh;
        } else {
            self.next_ms = refresh.min(confirm);
        }
    }

    /// Whoever decides next asks the ledger first. What is held stays.
    pub(super) const fn forget(&mut self) {
        self.forgotten = true;
    }

    /// The sum may have been changed elsewhere: has the ledger asked soon.
    pub(super) fn recheck(&mut self, now_ms: u64) {
        self.mark = self.now(now_ms);
        self.asked = None;
        self.next_ms = now_ms.saturating_add(RECHECK_MS);
    }

    const fn now(&self, at_ms: u64) -> Mark {
        Mark { at_ms, paid: self.account.settled() }
    }

    /// Levels that are reached and of which nobody was told yet; looks at the period that the account
    /// was last looked at in.
    pub(super) fn news(&mut self, claim: &Claim) -> Option<News> {
        let spent = self.account.sum();
        let reached = Reached::of(claim, spent);
        if reached.is_none() {
            self.told.levels = reached;
            return None;
        }
        let (max, soft, resets) = (claim.max_budget, claim.soft_budget, self.account.resets());
        let told = &mut self.told;
        if (told.max, told.soft, told.resets) != (max, soft, resets) {
            *told = Told { max, soft, resets, levels: Reached::default() };
        }
        let new = reached.without(told.levels);
        told.levels = reached;
        (!new.is_none()).then_some(News { new, spent, resets })
    }

    /// The most that this process may bring the spending to while it is on its own: its part of what
    /// was left when that began.
    pub(super) fn ration(&mut self, budget: &Budget, terms: &Terms<'_>, now: Moment) -> Usd {
        match self.ration {
            Some((episode, most)) if episode == terms.episode => most.min(budget.max),
            _ => {
                let spent = self.account.spent(budget.period, now.at, terms.zone);
                let left = budget.max.minus(spent).pico() / u64::from(terms.share);
                let most = spent.plus(Usd::from_pico(left));
                self.ration = Some((terms.episode, most));
                most
            }
        }
    }
}

/// Levels that are new.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    new: Reached,
    spent: Usd,
    resets: Option<Timestamp>,
}

impl News {
    /// As people are told of it.
    pub(super) fn crossed(self, claim: &Claim) -> impl Iterator<Item = Crossed> + use<> {
        self.new.tell(claim, self.spent, self.resets)
    }
}
