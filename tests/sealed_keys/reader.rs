//! The script in `docs/sealing.md` opens what Zegel sealed: nobody depends on us to get at his
//! keys.

use std::fs;
use std::process::Command;

use super::sealed;

fn script() -> String {
    let text = fs::read_to_string("docs/sealing.md").expect("docs/sealing.md");
    let (_, rest) = text.split_once("```python\n").expect("a script");
    let (script, _) = rest.split_once("```").expect("its end");
    script.to_owned()
}

#[test]
fn the_script_of_the_documentation_opens_a_sealed_key() {
    let zegel = sealed();
    let script_file = zegel.path("unseal.py");
    fs::write(&script_file, script()).expect("a script");
    for (organisation, selector) in [
        ("een", "een-rsa"),
        ("een", "een-ed25519"),
        ("twee", "twee-rsa"),
    ] {
        let output = Command::new("/usr/bin/python3")
            .arg(&script_file)
            .args([zegel.path("keys"), zegel.path("sealing.key")])
            .args([organisation, selector])
            .output()
            .expect("python3 runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !said.contains("ModuleNotFoundError"),
            "python3-cryptography is missing: run tests/install-packages as root\n{said}"
        );
        assert!(output.status.success(), "{selector}: {said}");
        let ours = super::run(&zegel, &["key", "export", organisation, selector]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), ours);
    }
}
