//! First loads of the simulated HQ's bench items (20 fields) into SQLite by the real binary: records a second, peak
//! memory, requests. Each load is followed by an idle sync.
//!
//! ```sh
//! cargo bench --bench first_load               # 200,000 records
//! cargo bench --bench first_load -- 1000000    # or as many as named
//! ```
//!
//! The HQ runs in a process of its own, so that the memory is the outlet's alone. Machines differ and are noisy: the
//! figure to watch is the memory, which must not grow with the table.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench reports, and stops where it cannot")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use milkrun::demo;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    match arguments.next().as_deref() {
        Some("hq") => serve(arguments.next().unwrap().parse().unwrap()),
        Some(count) => measure(count.parse().unwrap()),
        None => measure(200_000),
    }
}

fn serve(count: usize) {
    let site = demo::data::bench(1, count).unwrap();
    let server = demo::serve(&site, ([127, 0, 0, 1], 0).into()).unwrap();
    println!("{}", server.url());
    // Lives until the bench ends it.
    std::thread::park();
}

fn measure(count: usize) {
    let mut hq = Command::new(std::env::current_exe().unwrap())
        .args(["hq", &count.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(hq.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let folder = std::env::temp_dir().join(format!("milkrun-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("sync.toml"), config(url.trim())).unwrap();
    for name in ["first load", "idle sync"] {
        let milkrun = Command::new(env!("CARGO_BIN_EXE_milkrun"))
            .args(["--format", "json", "sync"])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (took, peak, output) = watch(milkrun);
        let runs: serde_json::Value = serde_json::from_str(&output).unwrap();
        let run = runs.get(0).unwrap();
        let number = |key: &str| run.pointer(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let fetched = number("/counts/fetched");
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = fetched as f64 / took.as_secs_f64();
        println!(
            "{name:<12} {fetched:>9} records  {:>7.2} s  {rate:>9.0} records/s  peak {:>6.1} MB  {} requests  {}",
            took.as_secs_f64(),
            peak / 1024.0,
            number("/counts/requests"),
            run.get("status").unwrap(),
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
    hq.kill().unwrap();
    hq.wait().unwrap();
}

/// How long the process took, its peak memory in kB as the kernel counts it, and what it printed.
fn watch(mut process: Child) -> (Duration, f64, String) {
    let (began, status) = (Instant::now(), format!("/proc/{}/status", process.id()));
    let mut peak = 0.0;
    while process.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak);
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let took = began.elapsed();
    (took, peak, std::io::read_to_string(process.stdout.take().unwrap()).unwrap())
}

/// The 20 fields of `demo::data::bench`, and the types they take here.
const FIELDS: [(&str, &str); 20] = [
    ("code", "text"),
    ("title", "text"),
    ("category", "text"),
    ("brand", "text"),
    ("uom", "text"),
    ("hsn", "text"),
    ("origin", "text"),
    ("colour", "text"),
    ("description", "text"),
    ("notes", "text"),
    ("rate", "decimal"),
    ("cost", "decimal"),
    ("tax_percent", "float"),
    ("weight", "float"),
    ("shelf_life", "int"),
    ("pack_size", "int"),
    ("disabled", "bool"),
    ("is_sales_item", "bool"),
    ("launched_on", "date"),
    ("counted_at", "datetime"),
];

fn config(url: &str) -> String {
    let columns = FIELDS.iter().map(|(field, ty)| format!("{field} = {{ from = \"{field}\", type = \"{ty}\" }}"));
    let columns: Vec<String> = columns.collect();
    format!(
        r#"[site]
name = "bench"
time_zone = "Asia/Kolkata"
[hq]
url = "{url}"
auth = {{ kind = "token", api_key = "bench", api_secret = "bench-secret" }}
time_zone = "Asia/Kolkata"
max_requests_per_second = 0
[local]
url = "sqlite://bench.db"
[[job]]
name = "items"
doctype = "Bench Item"
schedule = "0 0 0 * * *"
table = "items"
key = "code"
create_table = true
[job.fields]
{}
"#,
        columns.join("\n")
    )
}
