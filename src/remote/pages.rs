//! Paging through the list of packages. Pure: each page is a call of its own.

use super::wire::CategoryInfo;

/// How many packages one page holds: the platform's maximum (reference, section 3).
pub const PAGE_SIZE: u32 = 100;
/// The most pages of one walk: enough for one million packages. This limit ends a walk whose total count is wrong.
pub const MAX_PAGES: u32 = 10_000;

/// One page of the list of packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The packages of this page.
    pub data: Vec<CategoryInfo>,
    /// The number of packages on all pages.
    pub total_count: u64,
}

/// The step after one page of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read the page with this number.
    Page(u32),
    /// The whole list was read.
    Complete,
    /// The total count exceeds [`MAX_PAGES`] pages: the packages that were read aren't the whole list.
    TooMany,
}

/// The step after page `number`; the pages before it held `read` packages. A walk starts at page 0 and ends with an
/// empty page or when the total count is reached.
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
    fn a_walk_ends_at_the_total_count_or_at_an_empty_page() {
        assert_eq!(next_page(0, 0, &page(0, 0)), Next::Complete);
        assert_eq!(next_page(0, 0, &page(100, 100)), Next::Complete);
        assert_eq!(next_page(0, 0, &page(100, 101)), Next::Page(1));
        assert_eq!(next_page(1, 100, &page(1, 101)), Next::Complete);
        assert_eq!(next_page(1, 100, &page(0, 101)), Next::Complete);
        assert_eq!(next_page(0, 0, &page(40, 101)), Next::Page(1));
    }

    #[test]
    fn a_walk_with_too_many_pages_ends_as_incomplete() {
        let (mut number, mut read) = (0, 0);
        let full = page(1, u64::MAX);
        while let Next::Page(next) = next_page(number, read, &full) {
            (number, read) = (next, read + 1);
        }
        assert_eq!(number, MAX_PAGES - 1);
        assert_eq!(next_page(number, read, &full), Next::TooMany);
    }
}
