//! How much there is to read, as far as that is known before it is read.

use super::names::Inputs;
use super::reader::StartPosition;

/// How many bytes there are in all, if every input has a size.
pub(in crate::publish) fn bytes(inputs: &Inputs) -> Option<u64> {
    inputs.names().map(|input| input.ok()?.size()).sum()
}

/// How many bytes come before `start`. Inputs without a size count as empty.
pub(in crate::publish) fn bytes_before(inputs: &Inputs, start: StartPosition) -> u64 {
    let skipped = (0..start.input).zip(inputs.names());
    let sizes = skipped.filter_map(|(_, input)| input.ok()?.size());
    sizes.sum::<u64>() + start.position.offset
}
