//! HTTP statuses as label values: a closed list, because a provider may answer with any number.

/// The statuses that get a series of their own.
const KNOWN: [(u16, &str); 25] = [
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (402, "402"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (424, "424"),
    (429, "429"),
    (431, "431"),
    (499, "499"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (505, "505"),
    (529, "529"),
];

/// How many indices [`index`] has.
pub(super) const COUNT: usize = KNOWN.len() + 1;

/// A dense number for a status; all unknown ones share the last.
pub(super) fn index(status: u16) -> usize {
    // Most requests succeed, and 200 is the first entry.
    KNOWN.iter().position(|&(known, _)| known == status).unwrap_or(KNOWN.len())
}

/// The label value for a status.
pub(super) fn label(status: u16) -> &'static str {
    KNOWN.get(index(status)).map_or("other", |&(_, label)| label)
}

/// The label value for the status of an attempt, which may have got none.
pub(super) fn label_or_none(status: Option<u16>) -> &'static str {
    status.map_or("none", label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_an_index_and_unknown_ones_share_it() {
        assert_eq!((index(200), label(200)), (0, "200"));
        assert_eq!((index(529), label(529)), (COUNT - 2, "529"));
        assert_eq!((index(799), label(799)), (COUNT - 1, "other"));
        assert_eq!(label_or_none(None), "none");
        assert!(KNOWN.iter().all(|&(status, label)| label == status.to_string()));
    }
}
