//! The organisations, their keys, and which of them sends the next message.

use std::{
    cell::Cell,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use zegel::dkim::{Algorithm, key::generate_pem};

/// Stands for the id of an organisation in what is prepared; as long as every id.
pub(crate) const PLACEHOLDER: &str = "org@@@@@@";

/// The selector of a key with this algorithm; an organisation has one of each at most.
pub(crate) fn selector(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RsaSha256 => "rsa",
        Algorithm::Ed25519Sha256 => "ed25519",
    }
}

/// The id of organisation `number`.
pub(crate) fn id(number: u32) -> String {
    format!("org{number:06}")
}

/// Its only domain.
pub(crate) fn domain(number: u32) -> String {
    format!("{}.example", id(number))
}

/// Keys that are made once and kept below `target/`, since making RSA keys takes long.
pub(crate) struct KeyCache {
    folder: PathBuf,
}

impl KeyCache {
    /// In `target/bench-keys`.
    pub(crate) fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-keys");
        fs::create_dir_all(&folder).expect("a folder for keys below target");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("a mode");
        Self { folder }
    }

    /// Where the keys are, by the names `DOMAIN.SELECTOR.pem`.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a key.
    pub(crate) fn path(&self, number: u32, algorithm: Algorithm) -> PathBuf {
        let name = format!("{}.{}.pem", domain(number), selector(algorithm));
        self.folder.join(name)
    }

    /// Makes the keys of the organisations below `number` that are not there yet.
    pub(crate) fn fill(&self, number: u32, algorithm: Algorithm) {
        let missing: Vec<u32> = (0..number)
            .filter(|&number| !self.path(number, algorithm).exists())
            .collect();
        if missing.len() > 1000 {
            eprintln!("making {} {algorithm} keys, once", missing.len());
        }
        let next = AtomicU32::new(0);
        let make = || {
            while let Some(&number) = missing.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                make_key(&self.path(number, algorithm), algorithm);
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(make);
            }
        });
    }
}

/// Under another name first: a bench that is interrupted leaves no half key.
fn make_key(path: &Path, algorithm: Algorithm) {
    let unfinished = path.with_extension("new");
    match algorithm {
        Algorithm::Ed25519Sha256 => {
            let pem = generate_pem(algorithm, 0).expect("a key");
            fs::write(&unfinished, pem.as_bytes()).expect("a key file");
        }
        // Several times faster than our own way to make one.
        Algorithm::RsaSha256 => {
            let made = Command::new("openssl")
                .args(["genpkey", "-quiet", "-algorithm", "RSA"])
                .args(["-pkeyopt", "rsa_keygen_bits:2048", "-out"])
                .arg(&unfinished)
                .output()
                .expect("openssl runs");
            assert!(made.status.success(), "openssl makes no key: {made:?}");
        }
    }
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::rename(&unfinished, path).expect("a key file");
}

/// Says whose the next message is.
pub(crate) enum Choice {
    /// Each in turn, in an order in which neighbours are far apart.
    Evenly {
        /// How many.
        number: u32,
        /// How many were chosen.
        turn: Cell<u64>,
    },
    /// The k-th with a probability proportional to k to the power of minus the exponent.
    Zipf {
        /// The sums of probabilities up to each.
        cumulative: Vec<f64>,
        /// Of a xorshift generator.
        random: Cell<u64>,
    },
    /// Always the same.
    Only(u32),
}

impl Choice {
    /// Among the first `number`.
    pub(crate) fn evenly(number: u32) -> Self {
        Self::Evenly {
            number,
            turn: Cell::new(0),
        }
    }

    /// Among the first `number`.
    pub(crate) fn zipf(number: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=number)
            .map(|rank| {
                sum += f64::from(rank).powf(-exponent);
                sum
            })
            .collect();
        for value in &mut cumulative {
            *value /= sum;
        }
        Self::Zipf {
            cumulative,
            random: Cell::new(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// The number of the next organisation.
    pub(crate) fn next(&self) -> u32 {
        /// A prime: all are reached unless it divides their number.
        const STRIDE: u64 = 7_368_787;
        match self {
            Self::Only(number) => *number,
            Self::Evenly { number, turn } => {
                let place = turn.replace(turn.get() + 1).wrapping_mul(STRIDE) % u64::from(*number);
                u32::try_from(place).unwrap_or(0)
            }
            Self::Zipf { cumulative, random } => {
                let mut state = random.get();
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                random.set(state);
                let high = u32::try_from(state >> 32).unwrap_or(0);
                let point = f64::from(high) / f64::from(u32::MAX);
                let place = cumulative.partition_point(|&sum| sum < point);
                u32::try_from(place.min(cumulative.len() - 1)).unwrap_or(0)
            }
        }
    }
}
