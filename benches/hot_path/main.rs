//! The steps of signing, one by one.
//!
//! ```text
//! cargo bench --bench hot_path                                             with aws-lc-rs
//! cargo bench --bench hot_path --no-default-features --features ring      with ring
//! cargo bench --bench hot_path -- 'body/'                                  one group
//! ```
//!
//! The times depend on what else the machine does; `benches/instructions` counts what does not.

// The material is shared with benches/instructions.
#![allow(missing_docs, unreachable_pub, dead_code)]

mod material;
mod work;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zegel::{
    config::{Loaded, Settings},
    dkim::{
        Algorithm, BACKEND, HeaderRules, SigningKey, author_domain, digest::sha256,
        key::generate_pem,
    },
    keys::Delegations,
    keystore::Keystore,
    names::DomainName,
    observe::metrics::Metrics,
    organisation::{Organisation, Policy, SelectorTemplate},
    snapshot::Snapshot,
};

use self::work::Signer;

const CHUNKS: [usize; 3] = [4096, 16_384, 65_535];

fn key(algorithm: Algorithm, bits: usize) -> SigningKey {
    let pem = generate_pem(algorithm, bits).expect("a key");
    SigningKey::from_pem(pem.as_bytes()).expect("a key")
}

fn header(criterion: &mut Criterion) {
    let (rules, header) = (HeaderRules::default(), material::header());
    criterion.bench_function("header/select", |bencher| {
        bencher.iter(|| black_box(rules.select(black_box(&header))));
    });
    criterion.bench_function("header/select and canonicalise", |bencher| {
        bencher.iter(|| work::canonical_header(&rules, &header));
    });
    criterion.bench_function("header/author", |bencher| {
        bencher.iter(|| author_domain(black_box(&header).values("from")));
    });
}

fn body(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body");
    group.throughput(Throughput::Bytes(material::BODY as u64));
    for (kind, body) in material::bodies(material::BODY) {
        for chunk in CHUNKS {
            let id = BenchmarkId::new(format!("canonicalise {kind}"), chunk);
            group.bench_with_input(id, &body, |bencher, body| {
                bencher.iter(|| work::canonicalise(body, chunk));
            });
        }
        let id = BenchmarkId::new(format!("inspect {kind}"), 65_535);
        group.bench_with_input(id, &body, |bencher, body| {
            bencher.iter(|| work::inspect(body, 65_535));
        });
    }
    group.finish();
}

fn arithmetic(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("arithmetic ({BACKEND})"));
    let body = vec![b'x'; material::BODY];
    group.throughput(Throughput::Bytes(material::BODY as u64));
    group.bench_function("sha-256", |bencher| {
        bencher.iter(|| sha256(black_box(&body)));
    });
    group.throughput(Throughput::Elements(1));
    let keys = [
        ("rsa-2048", Algorithm::RsaSha256, 2048),
        ("rsa-3072", Algorithm::RsaSha256, 3072),
        ("rsa-4096", Algorithm::RsaSha256, 4096),
        ("ed25519", Algorithm::Ed25519Sha256, 0),
    ];
    for (name, algorithm, bits) in keys {
        let key = key(algorithm, bits);
        group.bench_function(name, |bencher| {
            bencher.iter(|| key.sign(black_box(b"the canonical header")));
        });
    }
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let (rules, header) = (HeaderRules::default(), material::header());
    let signer = |algorithm: Algorithm| Signer {
        domain: "voorbeeld.example".parse().expect("a domain"),
        selector: algorithm.key_type().parse().expect("a selector"),
        key: key(algorithm, 2048),
    };
    let signers = Algorithm::ALL.map(signer);
    let mut group = criterion.benchmark_group(format!("sign ({BACKEND})"));
    for (size, bytes) in [("2 KiB", 2 << 10), ("50 KiB", 50 << 10), ("1 MiB", 1 << 20)] {
        let [_, (_, body), ..] = material::bodies(bytes);
        for (name, signers) in [("single", &signers[..1]), ("double", &signers[..])] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| work::sign(&rules, &header, &body, signers));
            });
        }
    }
    group.finish();
}

/// The domain of organisation `number`.
fn domain(number: usize) -> DomainName {
    format!("org{number:06}.example").parse().expect("a domain")
}

fn organisation(number: usize) -> Organisation {
    let id = format!("org{number:06}").parse().expect("an id");
    Organisation {
        selector: SelectorTemplate::new(SelectorTemplate::DEFAULT, &id).expect("a template"),
        name: id.to_string(),
        domains: vec![domain(number)],
        parked: Vec::new(),
        incoming: Vec::new(),
        contact: None,
        algorithms: vec![Algorithm::RsaSha256],
        senders: None,
        delegations: Delegations::default(),
        language: zegel::words::Language::default(),
        policy: Policy::default(),
        id,
    }
}

fn lookup(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keystore = Keystore::create(&folder.path().join("keys")).expect("a keystore");
    let mut group = criterion.benchmark_group("lookup among");
    for number in [1, 1_000, 10_000, 100_000] {
        let loaded = Loaded {
            settings: Settings::default(),
            organisations: (0..number).map(organisation).map(Arc::new).collect(),
            warnings: Vec::new(),
            mistakes: zegel::config::Mistakes::default(),
        };
        let built = Snapshot::build(loaded, &keystore, &Metrics::new(), None).expect("a snapshot");
        // Far apart, so that they are not in the cache by chance.
        let wanted: Vec<_> = (0..number).map(|at| domain(at * 7_919 % number)).collect();
        let mut turn = wanted.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(number), |bencher| {
            bencher.iter(|| {
                let name = turn.next().expect("at least one");
                black_box(built.snapshot.domain(black_box(name))).is_some()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50);
    targets = header, body, arithmetic, whole, lookup
}
criterion_main!(benches);
