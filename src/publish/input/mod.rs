//! From files to records.
//!
//! * `names`: the inputs by name, from the command line or from a list.
//! * `reader`: the thread that reads them.
//! * `source_file`: a file that is read and must not become shorter.
//! * `recheck`: what a checkpoint calls confirmed is read again.
//! * `chunks`: what is read is cut into chunks of whole records.
//! * `records`: chunks become records, each with its body and its location.
//! * `template`: where a record's message goes, and with which properties.
//! * `survey`: how much there is to read.
//! * `digest`: what tells records and inputs apart.

mod chunks;
pub(super) mod digest;
mod names;
pub(super) mod reader;
mod recheck;
pub(super) mod records;
mod source_file;
pub(super) mod survey;
pub(super) mod template;

#[doc(hidden)]
pub use chunks::cut_into_records;
pub use names::{Input, Inputs};
