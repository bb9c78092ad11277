//! From files to records.
//!
//! * `names`: the inputs by name, from the command line or from a list.
//! * `reader`: the thread that reads them.
//! * `chunks`: byte streams are cut into chunks of whole records.
//! * `records`: chunks become records, each with its body and its location.
//! * `template`: the address and properties of a record's message.
//! * `survey`: what is known about the inputs before they are read.
//! * `digest`: digests, which tell records and inputs apart.

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
