//! Two sets of names compared without holding either: sums of hashes in buckets. What one side adds and the other takes
//! away comes to zero; a bucket that does not holds a name that is on one side only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_64;

/// Of 200,000 names, one that is gone has some two dozen others asked about beside it.
const BUCKETS: usize = 8_192;

/// The sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest(Vec<u64>);

impl Default for Digest {
    fn default() -> Self {
        Self(vec![0; BUCKETS])
    }
}

impl Digest {
    /// A name of the one side.
    pub(super) fn add(&mut self, name: &str) {
        let hash = xxh3_64(name.as_bytes());
        if let Some(sum) = self.0.get_mut(bucket(hash)) {
            *sum = sum.wrapping_add(hash);
        }
    }

    /// A name of the other side.
    pub(super) fn take(&mut self, name: &str) {
        let hash = xxh3_64(name.as_bytes());
        if let Some(sum) = self.0.get_mut(bucket(hash)) {
            *sum = sum.wrapping_sub(hash);
        }
    }

    /// Whether both sides hold the same names.
    pub(super) fn is_even(&self) -> bool {
        self.0.iter().all(|sum| *sum == 0)
    }

    /// Whether this name may be on one side only.
    pub(super) fn is_doubtful(&self, name: &str) -> bool {
        self.0.get(bucket(xxh3_64(name.as_bytes()))).is_some_and(|sum| *sum != 0)
    }
}

fn bucket(hash: u64) -> usize {
    // The low bits; what is left of the hash is what is summed.
    usize::try_from(hash % BUCKETS as u64).unwrap_or_default()
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
        let (sums, rest) = bytes.as_chunks::<8>();
        let sums: Vec<u64> = sums.iter().map(|sum| u64::from_le_bytes(*sum)).collect();
        if sums.len() != BUCKETS || !rest.is_empty() {
            return Err(de::Error::custom("another number of buckets"));
        }
        Ok(Self(sums))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_near_one_that_is_on_one_side_are_doubtful() {
        let names: Vec<String> = (0..50_000).map(|n| format!("ITEM-{n:05}")).collect();
        let mut digest = Digest::default();
        names.iter().for_each(|name| digest.add(name));
        names.iter().rev().filter(|name| !name.ends_with("0007")).for_each(|name| digest.take(name));
        assert!(!digest.is_even());
        let doubtful: Vec<&String> = names.iter().filter(|name| digest.is_doubtful(name)).collect();
        let gone = names.iter().filter(|name| name.ends_with("0007")).collect::<Vec<_>>();
        assert!(gone.iter().all(|name| doubtful.contains(name)));
        assert!(doubtful.len() < 100, "{}", doubtful.len());
        gone.iter().for_each(|name| digest.take(name));
        assert!(digest.is_even());
    }

    #[test]
    fn a_name_that_stands_twice_on_one_side_hides_none_that_is_missing() {
        let mut digest = Digest::default();
        for n in 0..100_000 {
            digest.add(&format!("{n}"));
            digest.add(&format!("{n}"));
            digest.take(&format!("{n}"));
        }
        digest.take("gone");
        assert!(digest.is_doubtful("gone"));
    }

    #[test]
    fn a_digest_survives_being_kept() {
        let mut digest = Digest::default();
        digest.add("a");
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        assert!(text.len() < 90_000);
        assert!(serde_json::from_str::<Digest>("\"AAAA\"").is_err());
    }
}
