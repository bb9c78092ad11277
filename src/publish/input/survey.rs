//! What is known about the inputs before they are read: their number and size, and a digest that tells them from other inputs.

use super::digest::Digest;
use super::names::{Inputs, ReadError};
use super::reader::StartPosition;

/// What is known about the inputs before they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) struct Survey {
    /// The digest of their names and sizes.
    pub(in crate::publish) identity: Digest,
    /// Their number.
    pub(in crate::publish) inputs: u64,
    /// Their size in bytes, if every input has a size.
    pub(in crate::publish) bytes: Option<u64>,
}

impl Survey {
    pub(in crate::publish) fn of(inputs: &Inputs) -> Result<Survey, ReadError> {
        let mut survey = Survey {
            identity: Digest::EMPTY,
            inputs: 0,
            bytes: Some(0),
        };
        for input in inputs.names() {
            let input = input?;
            let size = input.size();
            let line = match size {
                Some(size) => format!("{size} {input}\0"),
                None => format!("- {input}\0"),
            };
            survey.identity = survey.identity.and(line.as_bytes());
            survey.inputs += 1;
            survey.bytes = survey.bytes.zip(size).map(|(sum, size)| sum + size);
        }
        Ok(survey)
    }
}

/// How many bytes come before `start`. Inputs without a size count as empty.
pub(in crate::publish) fn bytes_before(inputs: &Inputs, start: StartPosition) -> u64 {
    let skipped = (0..start.input).zip(inputs.names());
    let sizes = skipped.filter_map(|(_, input)| input.ok()?.size());
    sizes.sum::<u64>() + start.position.offset
}
