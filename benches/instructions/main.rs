//! How many instructions the steps of signing take: figures that do not depend on what else
//! the machine does.
//!
//! ```text
//! cargo bench --bench instructions            needs valgrind
//! ```
//!
//! Each step runs under `valgrind --tool=callgrind` a few times and then some more times; the
//! difference is that of the step alone. Valgrind shows programs a processor without some
//! extensions (AVX-512 and SHA), so the cryptography is not counted here.

// The material is shared with benches/hot_path.
#![allow(missing_docs, unreachable_pub, dead_code)]
#![allow(clippy::print_stdout, reason = "a report for people")]

#[path = "../hot_path/material.rs"]
mod material;
#[path = "../hot_path/work.rs"]
mod work;

use std::{hint::black_box, process::Command};

use zegel::dkim::{HeaderRules, author_domain};

const FEW: u32 = 1;
const MORE: u32 = 11;

/// A step by its name, and the bytes that one time of it works on, if that matters.
struct Step {
    name: String,
    bytes: usize,
    run: Box<dyn Fn()>,
}

fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |name: &str, bytes, run: Box<dyn Fn()>| {
        steps.push(Step {
            name: name.to_owned(),
            bytes,
            run,
        });
    };
    let (rules, header) = (HeaderRules::default(), material::header());
    let fields = header.clone();
    step(
        "header: select and canonicalise",
        0,
        Box::new(move || work::canonical_header(&rules, &fields)),
    );
    step(
        "header: author",
        0,
        Box::new(move || {
            black_box(author_domain(header.values("from"))).expect("one author");
        }),
    );
    for (kind, body) in material::bodies(material::BODY) {
        for chunk in [4096, 65_535] {
            let body = body.clone();
            step(
                &format!("body: canonicalise {kind}, chunks of {chunk}"),
                body.len(),
                Box::new(move || work::canonicalise(&body, chunk)),
            );
        }
        step(
            &format!("body: inspect {kind}"),
            body.len(),
            Box::new(move || work::inspect(&body, 65_535)),
        );
    }
    steps
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, index, times] = &arguments[..]
        && flag == "--step"
    {
        let step = &steps()[index.parse::<usize>().expect("a number")];
        for _ in 0..times.parse().expect("a number") {
            (step.run)();
        }
        return;
    }
    println!("| step | instructions | for each byte |");
    println!("|---|---|---|");
    for (index, step) in steps().iter().enumerate() {
        let instructions = (count(index, MORE) - count(index, FEW)) / u64::from(MORE - FEW);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let each = match step.bytes {
            0 => String::new(),
            bytes => format!("{:.2}", instructions as f64 / bytes as f64),
        };
        println!("| {} | {instructions} | {each} |", step.name);
    }
}

/// The instructions of this program when it takes a step so many times.
fn count(index: usize, times: u32) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--step", &index.to_string(), &times.to_string()])
        .output()
        .expect("valgrind runs (apt-get install valgrind)");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, number) = line.unwrap_or_else(|| panic!("valgrind counted nothing: {text}"));
    number.trim().parse().expect("a number of instructions")
}
