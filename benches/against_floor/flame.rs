//! Where the time of a first load goes: a flame graph of milkrun, built once more with symbols, and a table of the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::contender::{Contender, Job, Who};
use crate::data::Kind;
use crate::database;
use crate::hq::Hq;

/// A function, called by those above it.
#[derive(Debug, Default)]
struct Frame {
    samples: u32,
    calls: BTreeMap<String, Frame>,
}

/// Writes the graph to `to`, and prints the table.
pub(crate) fn run(database: database::Kind, records: usize, to: &Path) -> Result<()> {
    if Command::new("perf").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("perf is not installed: nothing is sampled");
        return Ok(());
    }
    let binary = build()?;
    let folder = tempfile::tempdir()?;
    let hq = Hq::start(Kind::Items, records)?;
    let milkrun = Contender::new(Who::Milkrun, Job::plain(database), folder.path())?;
    let samples = folder.path().join("perf.data");
    let mut command = Command::new("perf");
    command
        .args(["record", "--quiet", "--freq", "1999", "--call-graph", "fp", "--output"])
        .arg(&samples)
        .arg(binary);
    milkrun.sync_by(command, &hq.url)?;
    let script = Command::new("perf").args(["script", "--fields", "ip,sym", "--input"]).arg(&samples).output()?;
    ensure!(script.status.success(), "perf script: {}", String::from_utf8_lossy(&script.stderr));
    let (root, groups) = read(&String::from_utf8_lossy(&script.stdout));
    std::fs::write(to, draw(&root))?;
    println!("{} samples; the graph is {}", root.samples, to.display());
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
    for (group, samples) in groups {
        println!("{:>5.1} %  {group}", f64::from(samples) * 100.0 / f64::from(root.samples.max(1)));
    }
    Ok(())
}

/// The same program with symbols and frame pointers, in a folder of its own.
fn build() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join("flame");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--bin", "milkrun", "--config", "profile.release.strip=false", "--config"])
        .args(["profile.release.debug='line-tables-only'", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "-C force-frame-pointers=yes")
        .env("CFLAGS", "-fno-omit-frame-pointer")
        .status()?;
    ensure!(status.success(), "milkrun does not build");
    Ok(target.join("release").join("milkrun"))
}

/// The stacks that `perf script` lists, innermost function first, a blank line between two.
fn read(script: &str) -> (Frame, BTreeMap<&'static str, u32>) {
    let (mut root, mut groups) = (Frame::default(), BTreeMap::new());
    for stack in script.split("\n\n") {
        let names: Vec<&str> =
            stack.lines().filter_map(|line| line.trim().split_once(' ')).map(|(_, name)| name).collect();
        if names.is_empty() {
            continue;
        }
        *groups.entry(group(&names)).or_default() += 1;
        root.samples += 1;
        let mut frame = &mut root;
        for name in names.iter().rev() {
            frame = frame.calls.entry(without_hash(name).to_owned()).or_default();
            frame.samples += 1;
        }
    }
    (root, groups)
}

fn without_hash(name: &str) -> &str {
    name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name)
}

/// Whose time it is: that of the innermost function which belongs to somebody.
fn group(names: &[&str]) -> &'static str {
    const OWNERS: [(&str, &str); 15] = [
        ("sqlite3", "SQLite"),
        ("milkrun::source", "milkrun: source (HTTP, pages)"),
        ("milkrun::record", "milkrun: record (decoding)"),
        ("milkrun::mapping", "milkrun: mapping"),
        ("milkrun::conflict", "milkrun: conflict"),
        ("milkrun::store", "milkrun: store (statements, binding)"),
        ("milkrun::sync", "milkrun: sync"),
        ("milkrun::", "milkrun: the rest"),
        ("serde_json::", "serde_json"),
        ("sqlx", "sqlx"),
        ("hyper", "HTTP client"),
        ("reqwest", "HTTP client"),
        ("flate2", "unpacking"),
        ("miniz_oxide", "unpacking"),
        ("tokio", "tokio"),
    ];
    let owner = |name: &&str| OWNERS.iter().find(|(part, _)| name.contains(part)).map(|(_, owner)| *owner);
    names.iter().find_map(owner).unwrap_or("kernel, libc and unknown")
}

const WIDTH: f64 = 1_600.0;
const HEIGHT: u32 = 16;

/// An SVG, the outermost function at the top; the name and share of each stand in its tooltip.
fn draw(root: &Frame) -> String {
    let depth = depth(root);
    let height = (depth + 1) * HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n"
    );
    draw_calls(&mut svg, root, 0.0, 0, root.samples);
    svg.push_str("</svg>\n");
    svg
}

fn depth(frame: &Frame) -> u32 {
    frame.calls.values().map(|call| depth(call) + 1).max().unwrap_or(0)
}

fn draw_calls(svg: &mut String, frame: &Frame, from: f64, level: u32, all: u32) {
    let mut x = from;
    for (name, call) in &frame.calls {
        let width = f64::from(call.samples) / f64::from(all.max(1)) * WIDTH;
        // What is narrower than a hair is left out, with all it calls.
        if width >= 0.5 {
            let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let (y, share) = (level * HEIGHT, width / WIDTH * 100.0);
            let hue = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 50;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few hundred letters at most"
            )]
            let letters: String = name.chars().take((width / 7.0) as usize).collect();
            svg.push_str(&format!(
                "<g><title>{name} ({share:.1} %)</title><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" \
                 fill=\"hsl({hue},80%,65%)\"/><text x=\"{:.1}\" y=\"{}\">{}</text></g>\n",
                HEIGHT - 1,
                x + 2.0,
                y + 12,
                if name.contains('&') { "" } else { &letters },
            ));
            draw_calls(svg, call, x, level + 1, all);
        }
        x += width;
    }
}
