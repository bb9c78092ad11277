//! A digest that tells records and inputs apart: 64-bit FNV-1a (<https://www.rfc-editor.org/rfc/rfc9923>). It must stay the same in
//! every version, since checkpoints contain it.

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

const OFFSET_BASIS_128: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME_128: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The 128-bit FNV-1a digest of these parts, each with its length, in hexadecimal digits: long enough to be a name.
pub(in crate::publish) fn name_of(parts: [&[u8]; 3]) -> String {
    let mut state = OFFSET_BASIS_128;
    for part in parts {
        let length = (part.len() as u64).to_be_bytes();
        for byte in length.iter().chain(part) {
            state = (state ^ u128::from(*byte)).wrapping_mul(PRIME_128);
        }
    }
    format!("{state:032x}")
}

/// What has been digested so far.
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
        assert_ne!(name_of([b"ab", b"c", b""]), name_of([b"a", b"bc", b""]));
        assert_eq!(name_of([b"", b"", b""]).len(), 32);
        assert_eq!(Digest::of(b"foo").and(b"bar"), Digest::of(b"foobar"));
    }
}
