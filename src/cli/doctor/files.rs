//! `sync.toml` and the files that it names: who may read what is secret, and who may change what milkrun trusts.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Report;

/// Bits of a file's mode.
const WORLD_READS: u32 = 0o004;
const WORLD_WRITES: u32 = 0o002;

/// On a folder, that only the owner of a file may remove it.
const STICKY: u32 = 0o1000;

/// Where a secret is written as it is, if it is.
const SECRETS: [&[&str]; 2] = [&["hq", "auth", "api_secret"], &["local", "url"]];

/// Where a file with a secret is named.
const KEY_FILES: [&[&str]; 2] = [&["hq", "tls", "client_key"], &["hq", "tls", "client_cert"]];

pub(super) fn look(path: &Path, report: &mut Report) {
    let Ok(facts) = std::fs::metadata(path) else { return };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let shown = path.display();
    let mode = facts.mode();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if mode & WORLD_WRITES != 0 || is_open_to_all(folder) {
        let remedy = format!("`chmod o-w {shown} {}`: who writes there has milkrun run as he likes", folder.display());
        report.problem("sync.toml", format!("anybody on this machine may change {shown}"), remedy);
    }
    let document: toml_edit::DocumentMut = text.parse().unwrap_or_default();
    if holds_a_secret(&document) && mode & WORLD_READS != 0 {
        let remedy = format!("`chmod o-r {shown}`, or name files or variables in it: ${{file:PATH}}, ${{NAME}}");
        report.problem("sync.toml", format!("{shown} holds a secret, and anybody on this machine may read it"), remedy);
    } else {
        report.ok("sync.toml", format!("{shown} (mode {:o})", mode & 0o7777));
    }
    for file in secret_files(&text, &document, folder) {
        secret(&file, report);
    }
}

fn secret(file: &Path, report: &mut Report) {
    let shown = file.display();
    match std::fs::metadata(file) {
        Ok(facts) if facts.mode() & (WORLD_READS | WORLD_WRITES) != 0 => {
            let remedy = format!("`chmod o-rw {shown}`, and have milkrun's user or group own it");
            report.problem("secrets", format!("anybody on this machine may read {shown}"), remedy);
        }
        Ok(facts) => report.ok("secrets", format!("{shown} (mode {:o})", facts.mode() & 0o7777)),
        // That it is missing, or closed to us, is said with the configuration.
        Err(_) => {}
    }
}

fn is_open_to_all(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|facts| facts.mode() & WORLD_WRITES != 0 && facts.mode() & STICKY == 0)
}

fn written<'d>(document: &'d toml_edit::DocumentMut, keys: &[&str]) -> Option<&'d str> {
    let mut item = document.as_item();
    for key in keys {
        item = item.get(key)?;
    }
    item.as_str()
}

/// Whether a secret stands in the file itself: an API secret, or a password in a URL.
fn holds_a_secret(document: &toml_edit::DocumentMut) -> bool {
    SECRETS.iter().filter_map(|keys| written(document, keys)).any(|text| {
        let is_taken_from_elsewhere = text.contains("${");
        match text.split_once("://") {
            None => !is_taken_from_elsewhere && !text.is_empty(),
            Some((_, rest)) => {
                let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
                let of_user = user.split_once(':').map(|(_, password)| password);
                let of_query = rest.split(['?', '&']).find_map(|parameter| parameter.strip_prefix("password="));
                of_user
                    .into_iter()
                    .chain(of_query)
                    .any(|password| !password.is_empty() && !password.starts_with("${"))
            }
        }
    })
}

/// The files that hold secrets: those of `${file:…}`, and the client's key.
fn secret_files(text: &str, document: &toml_edit::DocumentMut, folder: &Path) -> Vec<PathBuf> {
    let named = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split("${file:").skip(1))
        .filter_map(|rest| rest.split('}').next())
        .filter(|path| !path.contains("${"));
    let keys = KEY_FILES.iter().filter_map(|keys| written(document, keys)).filter(|path| !path.contains("${"));
    // A text that begins so is the PEM itself.
    let keys = keys.filter(|text| !text.starts_with("-----BEGIN"));
    let mut files: Vec<PathBuf> = named.chain(keys).map(|path| folder.join(path.trim())).collect();
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_stands_in_the_file_is_told_from_one_that_is_taken_from_elsewhere() {
        let holds = |text: &str| holds_a_secret(&text.parse().unwrap());
        assert!(holds("[hq]\nauth = { api_key = \"k\", api_secret = \"abc\" }"));
        assert!(!holds("[hq]\nauth = { api_key = \"k\", api_secret = \"${S}\" }"));
        assert!(holds("[local]\nurl = \"postgres://u:p@h/d\""));
        assert!(!holds("[local]\nurl = \"postgres://u:${P}@h/d\""));
        assert!(!holds("[local]\nurl = \"postgres://u@h/d\""));
        assert!(!holds("[local]\nurl = \"sqlite://outlet.db\""));
    }

    #[test]
    fn files_that_hold_secrets_are_found_beside_the_configuration() {
        let text = "[hq]\nurl=\"https://h\"\n# ${file:none}\nauth={api_key=\"${file:key}\",api_secret=\"${file:/s}\"}\n\
                    tls = { client_key = \"client.pem\" }";
        let found = secret_files(text, &text.parse().unwrap(), Path::new("/etc/milkrun"));
        assert_eq!(found, ["/etc/milkrun/client.pem", "/etc/milkrun/key", "/s"].map(PathBuf::from));
    }
}
