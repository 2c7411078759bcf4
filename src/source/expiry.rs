//! Until when a certificate is good: as much of X.509's DER as it takes to come to that (RFC 5280, 4.1).

use chrono::{DateTime, NaiveDateTime, Utc};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The moment after which the certificate is not good any more; `None` where it cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let body = inside(inside(certificate)?)?;
    let rest = match element(body)? {
        (VERSION, _, rest) => rest,
        (_, _, _) => body,
    };
    // Serial number, algorithm, issuer.
    let (_, _, rest) = element(rest)?;
    let (_, _, rest) = element(rest)?;
    let (_, _, rest) = element(rest)?;
    let (_, _, rest) = element(inside(rest)?)?;
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        GENERALIZED_TIME => text.to_owned(),
        // Two digits of a year are of 1950 to 2049.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        _ => return None,
    };
    NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok().map(|moment| moment.and_utc())
}

/// What a sequence at the beginning holds.
fn inside(bytes: &[u8]) -> Option<&[u8]> {
    match element(bytes)? {
        (SEQUENCE, content, _) => Some(content),
        (_, _, _) => None,
    }
}

/// The first element: its tag, its content, and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..0x80 => (usize::from(*short), rest),
        long => {
            let (digits, rest) =
                rest.split_at_checked(usize::from(long & 0x7F)).filter(|(digits, _)| digits.len() <= 4)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_spellings() {
        for (year, expected) in [(2031, "2031-02-03T00:00:00Z"), (2061, "2061-02-03T00:00:00Z")] {
            let mut params = CertificateParams::new(vec!["hq.example".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 2, 3);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let read = not_after(certificate.der()).unwrap();
            assert_eq!(read, expected.parse::<DateTime<Utc>>().unwrap());
            for cut in 0..certificate.der().len().min(200) {
                not_after(&certificate.der()[..cut]);
            }
        }
    }
}
