//! A digest that tells records and inputs apart: 64-bit FNV-1a (<https://www.rfc-editor.org/rfc/rfc9923>). It must stay the same in
//! every version, since checkpoints contain it.

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// A digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) struct Digest(u64);

impl Digest {
    /// The digest of nothing.
    pub(in crate::publish) const EMPTY: Digest = Digest(OFFSET_BASIS);

    /// The digest of these bytes.
    pub(in crate::publish) fn of(bytes: &[u8]) -> Digest {
        Digest::EMPTY.and(bytes)
    }

    /// The digest of the bytes so far and these bytes.
    pub(in crate::publish) fn and(self, bytes: &[u8]) -> Digest {
        Digest(bytes.iter().fold(self.0, |state, byte| {
            (state ^ u64::from(*byte)).wrapping_mul(PRIME)
        }))
    }

    /// The digest as a number.
    pub(in crate::publish) fn number(self) -> u64 {
        self.0
    }
}

impl From<u64> for Digest {
    fn from(number: u64) -> Self {
        Digest(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fnv_1a() {
        assert_eq!(Digest::of(b"").number(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Digest::of(b"a").number(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Digest::of(b"foobar").number(), 0x8594_4171_f739_67e8);
        assert_eq!(Digest::of(b"foo").and(b"bar"), Digest::of(b"foobar"));
    }
}
