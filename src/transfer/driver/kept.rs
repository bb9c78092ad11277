//! What a delivery is made of, under its tag, for as long as the core may speak of it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::broker::{Template, Unsettled};
use crate::transfer::run::Tag;

/// The deliveries from the first one on that is not answered for.
pub(super) struct Kept {
    first: Tag,
    deliveries: VecDeque<KeptDelivery>,
}

/// A delivery that is not answered for.
pub(super) struct KeptDelivery {
    pub(super) unsettled: Unsettled,
    /// Gone once it is published: should it be needed again, the broker delivers it again.
    pub(super) copy: Option<Copy>,
    /// What is reported when it is moved.
    pub(super) report: Option<String>,
}

/// What is to be published.
pub(super) struct Copy {
    pub(super) template: Template,
    pub(super) body: Bytes,
}

impl Kept {
    pub(super) fn new() -> Kept {
        Kept {
            first: 1,
            deliveries: VecDeque::new(),
        }
    }

    /// Takes in the next delivery.
    pub(super) fn push(&mut self, delivery: KeptDelivery) {
        self.deliveries.push_back(delivery);
    }

    /// The copy of this one, which is published now.
    pub(super) fn take_copy(&mut self, tag: Tag) -> Option<Copy> {
        let index = usize::try_from(tag.checked_sub(self.first)?).ok()?;
        self.deliveries.get_mut(index)?.copy.take()
    }

    /// Lets go of all up to this one. The right to answer for the last of them, and what is reported of each.
    pub(super) fn take_up_to(&mut self, tag: Tag) -> (Option<Unsettled>, Vec<String>) {
        let mut last = None;
        let mut reports = Vec::new();
        while self.first <= tag
            && let Some(delivery) = self.deliveries.pop_front()
        {
            self.first += 1;
            reports.extend(delivery.report);
            last = Some(delivery.unsettled);
        }
        (last, reports)
    }
}
