//! The file itself. It is there whole or not at all, nobody else's file is overwritten, and of one that is lengthened every
//! byte stays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::super::output::Usage;

/// The text of the file; `None` where there is none.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// The folder that relative paths of the file start from.
pub(super) fn folder(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// The text with `more` after it, in lines that end as its own do.
pub(super) fn lengthened(text: &str, more: &str) -> String {
    let is_crlf = text.contains("\r\n");
    let end = if is_crlf { "\r\n" } else { "\n" };
    let more = if is_crlf { more.replace('\n', "\r\n") } else { more.to_owned() };
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    format!("{text}{gap}{more}")
}

/// Makes the file; one that has come up meanwhile is left as it is.
pub(super) fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = write_beside(path, text, None)?;
    // A link, unlike a rename, takes nobody's place.
    let made = match fs::hard_link(&beside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => fs::rename(&beside, path),
        made => made,
    };
    // After a rename there is nothing to remove.
    fs::remove_file(&beside).ok();
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} has come up meanwhile and was left as it is", path.display());
            Err(Usage(message).into())
        }
        made => made.with_context(|| format!("writing {}", path.display())),
    }
}

/// Puts `longer` in the place of `text`, if that is still what the file holds.
pub(super) fn replace(path: &Path, text: &str, longer: &str) -> anyhow::Result<()> {
    // A link to the file stays one.
    let path = &fs::canonicalize(path).with_context(|| format!("reading {}", path.display()))?;
    let facts = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    let beside = write_beside(path, longer, Some(&facts))?;
    if read(path)?.as_deref() != Some(text) {
        fs::remove_file(&beside).ok();
        bail!("{} was changed meanwhile; nothing was written, say it again", path.display());
    }
    fs::rename(&beside, path).with_context(|| format!("writing {}", path.display()))
}

/// Writes the text to a file of its own in the same folder, to the disk; one that takes the place of another is to be read by
/// the same users.
fn write_beside(path: &Path, text: &str, before: Option<&fs::Metadata>) -> anyhow::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder(path).join(format!(".{name}.{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file: File = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        if let Some(before) = before {
            let made = file.metadata()?;
            if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid())).map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("{error}; the file is another user's: say it as him, or as root"),
                    )
                })?;
            }
            file.set_permissions(before.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    match write() {
        Ok(()) => Ok(beside),
        Err(error) => {
            fs::remove_file(&beside).ok();
            Err(error).with_context(|| format!("writing beside {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_lengthened_in_lines_of_its_own_kind() {
        assert_eq!(lengthened("a\n", "\nb\n"), "a\n\nb\n");
        assert_eq!(lengthened("a", "\nb\n"), "a\n\nb\n");
        assert_eq!(lengthened("a\r\n", "\nb\n"), "a\r\n\r\nb\r\n");
    }
}
