//! The file itself: whether it is there, is one, and is text.

use std::fs::FileType;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use super::findings::Findings;
use super::private;
use super::problem::Problems;
use super::said::{Code, Said};
use super::substitute;

/// A thousand jobs fit in a tenth of it; anything larger is not a `sync.toml`.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What to do about a file that is another one than was meant.
const ANOTHER: &str = "another file is named by `milkrun --config PATH`";

/// Reads the text of the file.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read(path: &Path) -> Result<String, Problems> {
    let name = path.display().to_string();
    let whole = |what: String, help: &str| Problems::whole(&name, Said::new(Code::Unreadable, what).help(help));
    // What is not there is told by the reading.
    if let Ok(facts) = std::fs::metadata(path)
        && let Some(kind) = other_kind(facts.file_type())
    {
        return Err(whole(format!("this is {kind}, not a file"), ANOTHER));
    }
    let bytes = substitute::bytes(path, LARGEST).map_err(|reason| whole(reason, ANOTHER))?;
    if let Some(order) = byte_order(&bytes) {
        return Err(whole(format!("this file is UTF-16 ({order}), and sync.toml is UTF-8"), "save it as UTF-8"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        no_utf8(&name, &error.into_bytes(), valid)
    })
}

/// What stands in the place of a file. A pipe would be waited for, for ever, and could be read only once, where milkrun looks at
/// its file again and again.
fn other_kind(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// Of a text as Windows saves it under "Unicode".
fn byte_order(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, ..] => Some("little endian"),
        [0xfe, 0xff, ..] => Some("big endian"),
        _ => None,
    }
}

/// The place of the first byte that is no UTF-8, and what the one-byte encodings read there.
fn no_utf8(name: &str, bytes: &[u8], valid: usize) -> Problems {
    let (before, after) = bytes.split_at_checked(valid).unwrap_or((bytes, &[]));
    let before = String::from_utf8_lossy(before);
    let at = before.len();
    let text: String = before.chars().chain(after.iter().map(|byte| char::from(*byte))).collect();
    let mut what = format!("this file is not UTF-8 text (byte {valid})");
    if let Some(byte) = after.first() {
        what = format!("{what}: here it holds 0x{byte:02X}, which Latin-1 and Windows-1252 write for one character");
    }
    let mut findings = Findings::new(name, &text);
    let end = at + after.first().map_or(0, |byte| char::from(*byte).len_utf8());
    if let Some(private) = private::around(&text, &(at..end)) {
        findings.keep_private(private);
    }
    findings.at_bytes(at..end, Said::new(Code::Unreadable, what).help("save it as UTF-8"));
    findings.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sync.toml");
        std::fs::write(&path, bytes).unwrap();
        let said = read(&path).unwrap_err().to_string();
        said.replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn a_text_in_another_encoding_is_told_with_its_place() {
        assert_eq!(
            said(b"[site]\nname = \"Caf\xe9\"\n"),
            "sync.toml:2:12: this file is not UTF-8 text (byte 18): here it holds 0xE9, which Latin-1 and Windows-1252 write for one character; save it as UTF-8"
        );
        assert!(said(b"\xff\xfe[\0s\0").contains("this file is UTF-16 (little endian)"));
        let secret = said(b"[hq]\napi_secret = \"hunter22\xe9\"\n");
        assert!(secret.starts_with("sync.toml:2:23: ") && !secret.contains("hunter"), "{secret}");
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| read(path).unwrap_err().to_string();
        assert!(said(folder.path()).contains("this is a directory, not a file; another file is named by"));
        assert!(said(Path::new("/dev/null")).contains("this is a device, not a file"));
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(said(&pipe).contains("this is a pipe, not a file"));
    }

    #[test]
    fn a_file_that_is_far_too_large_is_not_read() {
        assert!(said(&vec![b'#'; 5 * 1024 * 1024]).contains("is larger than 4096 KiB"));
    }
}
