//! Verification by others: what we sign must be right in their eyes.

use std::io::Write;
use std::process::{Command, Stdio};

use super::process::program;

/// Reads the records as arguments (name and text in turn) and the message from standard input.
const DKIMPY: &str = "
import sys, dkim
records = dict(zip(sys.argv[1::2], sys.argv[2::2]))
def lookup(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    record = records.get(name.rstrip('.'))
    return record.encode() if record is not None else None
message = sys.stdin.buffer.read()
count = sum(line.lower().startswith(b'dkim-signature:') for line in message.split(b'\\r\\n\\r\\n')[0].split(b'\\r\\n'))
verifier = dkim.DKIM(message)
good = [verifier.verify(idx=index, dnsfunc=lookup) for index in range(count)]
print(len(good), 'signatures, good:', good)
sys.exit(0 if good and all(good) else 1)
";

/// True if dkimpy finds at least one signature and all of them good. `records` are DNS names
/// without the last dot (`selector._domainkey.domain`) and the text there.
///
/// # Errors
///
/// What dkimpy said otherwise.
pub fn dkimpy(message: &[u8], records: &[(String, String)]) -> Result<(), String> {
    let mut child = Command::new(program("/usr/bin/python3"))
        .args(["-c", DKIMPY])
        .args(records.iter().flat_map(|(name, text)| [name, text]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut input = child.stdin.take().expect("a piped input");
    // A verifier that gives up early says so by its status.
    input.write_all(message).ok();
    drop(input);
    let output = child.wait_with_output().expect("python3 ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        !complaint.contains("ModuleNotFoundError"),
        "python3-dkim is missing: run tests/install-packages as root\n{complaint}"
    );
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{}{complaint}",
        String::from_utf8_lossy(&output.stdout)
    ))
}
