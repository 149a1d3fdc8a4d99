//! Pages of lists.

use super::fault::Fault;
use super::form::Form;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    pub(super) number: u64,
    pub(super) size: u64,
}

/// Pages beyond it are empty anyway.
const NUMBER_MAX: u64 = 1_000_000;

impl Page {
    /// Reads `page`, and the size by one of its names: its default, and the most of it.
    pub(super) fn read(
        form: &Form,
        size: &str,
        (default, most): (u64, u64),
    ) -> Result<Self, Fault> {
        let within = |name: &str, default: u64, most: u64| {
            let written = form.count(name)?.value().unwrap_or(default);
            let message = || format!("{name} must be between 1 and {most}");
            match (1..=most).contains(&written) {
                true => Ok(written),
                false => Err(Fault::shape(name, message())),
            }
        };
        Ok(Self { number: within("page", 1, NUMBER_MAX)?, size: within(size, default, most)? })
    }

    /// How many come before it.
    pub(super) const fn skip(self) -> u64 {
        (self.number - 1) * self.size
    }

    /// How many pages there are of so many.
    pub(super) const fn pages(self, total: u64) -> u64 {
        total.div_ceil(self.size)
    }

    /// Cuts the page out of a whole list.
    pub(super) fn cut<T>(self, list: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        let skip = usize::try_from(self.skip()).unwrap_or(usize::MAX);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        list.into_iter().skip(skip).take(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<Page, Fault> {
        Page::read(&Form::of_query(Some(query)), "size", (10, 100))
    }

    #[test]
    fn pages_are_counted_from_one() {
        assert_eq!(page("").map(Page::skip), Ok(0));
        let second = page("page=2&size=3").unwrap();
        assert_eq!((second.skip(), second.pages(7)), (3, 3));
        assert_eq!(second.cut(0..7).collect::<Vec<_>>(), [3, 4, 5]);
        for (wrong, field) in
            [("page=0", "page"), ("size=0", "size"), ("size=101", "size"), ("page=x", "page")]
        {
            assert_eq!(page(wrong).unwrap_err().param.as_deref(), Some(field), "{wrong}");
        }
    }
}
