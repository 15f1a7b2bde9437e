//! Every event once, though it may stand in the topic twice.
//!
//! A process that stood still while another took over its partition may publish a batch that the other has published
//! already, at any later place of the topic. Such a batch is the same, event for event. So whoever reads a partition in order
//! drops what is at or before the last source that it has seen. Whoever begins in the middle first reads some records back
//! ([`LOOK_BACK`]), which are more than a batch holds.

use schemas::event::Source;

/// How many records before its beginning a reader looks at.
pub(crate) const LOOK_BACK: u64 = 1_000;

/// The last source that a reader has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Once(Option<Source>);

impl Once {
    /// Whether the event is new; from then on it is not.
    pub(crate) fn admits(&mut self, source: Source) -> bool {
        let is_new = self.0.is_none_or(|last| source > last);
        if is_new {
            self.0 = Some(source);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_again_is_dropped_wherever_it_stands() {
        let mut once = Once::default();
        let published = [(1, 0), (2, 0), (2, 1), (2, 0), (2, 1), (3, 0), (1, 0), (2, 0), (3, 1), (3, 1), (4, 0)];
        let admitted: Vec<_> = published
            .into_iter()
            .filter(|(offset, index)| once.admits(Source { partition: 0, offset: *offset, index: *index }))
            .collect();
        assert_eq!(admitted, [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0)]);
    }
}
