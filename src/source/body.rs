//! An answer's body as it comes: unpacked piece by piece, so that the packed one is never held, and never beyond its bound.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::error::Error;

/// No answer is taken that is larger than this once unpacked; far below the 4 GiB that a page's offsets can hold.
pub const MAX_BODY: usize = 64 << 20;

/// What has come of a body.
#[derive(Debug)]
pub(super) struct Body {
    /// Bytes as they came over the line.
    came: usize,
    /// At most so many, packed and unpacked.
    most: usize,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Plain(Bounded),
    Packed(Box<MultiGzDecoder<Bounded>>),
}

impl Body {
    /// Of one that comes as it is, perhaps of so many bytes.
    pub(super) fn plain(length: Option<u64>) -> Self {
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let body = Bounded { body: Vec::with_capacity(length.min(MAX_BODY)), most: MAX_BODY };
        Self { came: 0, most: MAX_BODY, form: Form::Plain(body) }
    }

    /// Of one that comes as gzip.
    pub(super) fn packed() -> Self {
        Self::packed_up_to(MAX_BODY)
    }

    fn packed_up_to(most: usize) -> Self {
        let body = Bounded { body: Vec::new(), most };
        Self { came: 0, most, form: Form::Packed(Box::new(MultiGzDecoder::new(body))) }
    }

    /// Takes in the next piece.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.came = self.came.saturating_add(piece.len());
        if self.came > self.most {
            return Err(Error::TooLarge { limit: MAX_BODY });
        }
        let taken = match &mut self.form {
            Form::Plain(body) => body.write_all(piece),
            Form::Packed(body) => body.write_all(piece),
        };
        taken.map_err(|error| damaged(&error))
    }

    /// The whole body, unpacked.
    pub(super) fn end(self) -> Result<Vec<u8>, Error> {
        match self.form {
            Form::Plain(bounded) => Ok(bounded.body),
            Form::Packed(body) => body.finish().map(|bounded| bounded.body).map_err(|error| damaged(&error)),
        }
    }
}

/// Takes bytes up to a bound.
#[derive(Debug)]
struct Bounded {
    body: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.body.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn damaged(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return Error::TooLarge { limit: MAX_BODY };
    }
    Error::Unreadable(format!("its compression is damaged ({error})"))
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(wire: &[u8], piece: usize) -> Result<Vec<u8>, Error> {
        let mut body = Body::packed();
        wire.chunks(piece).try_for_each(|piece| body.take(piece))?;
        body.end()
    }

    #[test]
    fn a_body_is_the_same_in_whatever_pieces_and_members_it_comes() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let whole = gzip(&text);
        let members = [gzip(&text[..70_000]), gzip(b""), gzip(&text[70_000..])].concat();
        for piece in [1, 7, 1_448, 1 << 20] {
            assert!(unpacked(&whole, piece).unwrap() == text, "{piece}");
            assert!(unpacked(&members, piece).unwrap() == text, "{piece}");
        }
        let mut plain = Body::plain(Some(3));
        plain.take(b"{}").unwrap();
        plain.take(b" and more than was announced").unwrap();
        assert_eq!(plain.end().unwrap(), b"{} and more than was announced");
    }

    #[test]
    fn a_body_that_is_cut_or_damaged_is_none() {
        let whole = gzip(&b"some text ".repeat(1_000));
        for length in [0, 1, 9, 10, 11, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
            let error = unpacked(&whole[..length], 64).unwrap_err();
            assert!(error.to_string().contains("its compression is damaged"), "{length}: {error}");
        }
        let mut damaged = whole.clone();
        damaged[whole.len() - 5] ^= 1;
        assert!(unpacked(&damaged, 64).is_err(), "a wrong sum");
        assert!(unpacked(&[whole.as_slice(), b"no gzip"].concat(), 64).is_err(), "something behind it");
        assert!(unpacked(b"{\"data\": []}", 64).is_err());
    }

    #[test]
    fn no_body_grows_beyond_the_bound_packed_or_not() {
        let most = 1 << 20;
        let bomb = gzip(&vec![b' '; 2 * most]);
        assert!(bomb.len() < most / 20);
        assert!(matches!(Body::packed_up_to(most).take(&bomb), Err(Error::TooLarge { .. })));
        let mut body = Body::packed_up_to(most);
        let nothing = gzip(b"").repeat(1 << 10);
        let taken = (0..100).try_for_each(|_| body.take(&nothing));
        assert!(matches!(taken, Err(Error::TooLarge { .. })), "empty members without end");
        let mut plain = Body::plain(Some(u64::MAX));
        let taken = (0..65).try_for_each(|_| plain.take(&vec![b' '; 1 << 20]));
        assert!(matches!(taken, Err(Error::TooLarge { .. })));
    }
}
