//! Records: all of the input, in order, each up to its delimiter, however the input arrives.

use amqp_tools::publish::cut_into_records;

use super::pieces::Pieces;

/// The first byte says how large the pieces are that the others arrive in.
pub fn check(input: &[u8]) {
    let Some((&size, bytes)) = input.split_first() else {
        return;
    };
    for delimiter in [b'\n', b'\0'] {
        let source = Pieces {
            bytes,
            length: usize::from(size) + 1,
        };
        let records = cut_into_records(source, delimiter).unwrap();
        assert!(
            records
                .iter()
                .eq(bytes.split_inclusive(|byte| *byte == delimiter))
        );
    }
}
