//! Words for commands that an operator is told to run.

use std::path::Path;

/// A word as a shell takes it, whatever is in it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A path as a shell takes it; never taken for an option.
pub fn quoted_path(path: &Path) -> String {
    let word = quoted(&path.display().to_string());
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        format!("./{word}")
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_it_as_one_word() {
        for word in [
            "/run/zegel/relay.sock",
            "/tmp/a b; rm -r $HOME `id` \"x\" 'y' \\ \n*?[a]~#&|<>(){}!",
            "",
            "~",
            "a=b",
        ] {
            let script = format!("printf '%s.' {}", quoted(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            let expected = format!("{word}.");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                expected,
                "{script}"
            );
        }
        assert_eq!(quoted("/run/relay.sock"), "/run/relay.sock");
        assert_eq!(quoted_path(Path::new("-r a")), "./'-r a'");
    }
}
