//! Pages of lists.

use super::{Fault, Form};

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    pub(super) number: u64,
    pub(super) size: u64,
}

/// The most on one page.
const SIZE_MAX: u64 = 100;
/// Pages beyond it are empty anyway.
const NUMBER_MAX: u64 = 1_000_000_000;

impl Page {
    /// Reads `page`, and the size by one of its names.
    pub(super) fn read(form: &Form, size: &str, default: u64) -> Result<Self, Fault> {
        let number = form.count("page")?.value().unwrap_or(1);
        if number == 0 || number > NUMBER_MAX {
            return Err(Fault::shape("page", "page must be 1 or greater".to_owned()));
        }
        let written = form.count(size)?.value().unwrap_or(default);
        if written == 0 || written > SIZE_MAX {
            let message = format!("{size} must be between 1 and {SIZE_MAX}");
            return Err(Fault::shape(size, message));
        }
        Ok(Self { number, size: written })
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
    pub(super) fn cut<T>(self, list: Vec<T>) -> Vec<T> {
        let skip = usize::try_from(self.skip()).unwrap_or(usize::MAX);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        list.into_iter().skip(skip).take(size).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<Page, Fault> {
        Page::read(&Form::of_query(Some(query)), "size", 10)
    }

    #[test]
    fn pages_are_counted_from_one() {
        assert_eq!(page("").map(Page::skip), Ok(0));
        let second = page("page=2&size=3").unwrap();
        assert_eq!((second.skip(), second.pages(7)), (3, 3));
        assert_eq!(second.cut((0..7).collect()), [3, 4, 5]);
        for (wrong, field) in
            [("page=0", "page"), ("size=0", "size"), ("size=101", "size"), ("page=x", "page")]
        {
            assert_eq!(page(wrong).unwrap_err().param.as_deref(), Some(field), "{wrong}");
        }
    }
}
