//! From files to records.
//!
//! * `names`: the inputs by name, on the command line or in a list.
//! * `reader`: the thread that reads them.
//! * `chunks`: what is read is cut into chunks of whole records.
//! * `records`: chunks become records, each with its body and its location.
//! * `template`: where a record's message goes, and with which properties.
//! * `survey`: what is known of the inputs before they are read.
//! * `digest`: what tells records and inputs apart.

mod chunks;
pub(super) mod digest;
mod names;
pub(super) mod reader;
pub(super) mod records;
pub(super) mod survey;
pub(super) mod template;

#[doc(hidden)]
pub use chunks::cut_into_records;
pub use names::{Input, Inputs};
