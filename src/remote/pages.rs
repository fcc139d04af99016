//! Walking the list of packages page by page. Pure: each page is a call of its own.

use super::wire::CategoryInfo;

/// How many packages one page holds: the most that the platform gives (reference, section 3).
pub const PAGE_SIZE: u32 = 100;
/// How many pages a walk reads at most: a million packages, or a platform whose total is not true.
pub const MAX_PAGES: u32 = 10_000;

/// One page of the list of packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The packages of this page.
    pub data: Vec<CategoryInfo>,
    /// How many there are over all pages.
    pub total_count: u64,
}

/// What follows one page of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read this page.
    Page(u32),
    /// All was read.
    Complete,
    /// More was promised than [`MAX_PAGES`] hold: what was read is not the whole list.
    TooMany,
}

/// What follows `page`, which is page number `number` and came after `read` packages of the pages
/// before it. The walk starts at page 0 and ends with an empty page or when the total is read.
pub fn next_page(number: u32, read: u64, page: &Page) -> Next {
    let read = read.saturating_add(page.data.len() as u64);
    if page.data.is_empty() || read >= page.total_count {
        Next::Complete
    } else if number.saturating_add(1) >= MAX_PAGES {
        Next::TooMany
    } else {
        Next::Page(number + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::wire::CategoryInfo;

    fn page(packages: usize, total_count: u64) -> Page {
        Page {
            data: vec![CategoryInfo::default(); packages],
            total_count,
        }
    }

    #[test]
    fn a_walk_ends_when_the_total_is_read_or_a_page_is_empty() {
        assert_eq!(next_page(0, 0, &page(0, 0)), Next::Complete);
        assert_eq!(next_page(0, 0, &page(100, 100)), Next::Complete);
        assert_eq!(next_page(0, 0, &page(100, 101)), Next::Page(1));
        assert_eq!(next_page(1, 100, &page(1, 101)), Next::Complete);
        assert_eq!(next_page(1, 100, &page(0, 101)), Next::Complete);
        assert_eq!(next_page(0, 0, &page(40, 101)), Next::Page(1));
    }

    #[test]
    fn a_walk_that_would_not_end_says_that_it_is_not_complete() {
        let (mut number, mut read) = (0, 0);
        let full = page(1, u64::MAX);
        while let Next::Page(next) = next_page(number, read, &full) {
            (number, read) = (next, read + 1);
        }
        assert_eq!(number, MAX_PAGES - 1);
        assert_eq!(next_page(number, read, &full), Next::TooMany);
    }
}
