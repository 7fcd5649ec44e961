//! What the linters of manual pages ask for, and `roff` and `clap_mangen` leave undone.

/// The longest line of source, in octets.
const LINE: usize = 78;

/// The same page, with no line that is too long or ends in a blank, and no break where there is
/// one already.
pub(crate) fn tidy(page: &str) -> String {
    let mut tidy: Vec<String> = Vec::new();
    let mut lines = page.lines().filter(|line| !line.is_empty()).peekable();
    // The line after it is the term, and must stay one line.
    let mut term = false;
    while let Some(line) = lines.next() {
        let line = line.trim_end();
        let before = tidy.last().is_some_and(|line| is_space(line));
        let after = lines.peek().is_some_and(|line| is_space(line));
        if line == ".br" && (before || after) {
            continue;
        }
        if term || line.starts_with('.') || line.starts_with('\'') {
            tidy.push(line.to_owned());
        } else {
            tidy.extend(wrapped(line));
        }
        term = [".TP", ".TQ"].contains(&line);
    }
    tidy.push(String::new());
    tidy.join("\n")
}

fn is_space(line: &str) -> bool {
    [".br", ".sp"].contains(&line)
}

fn wrapped(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().expect("there is one from the beginning");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() <= LINE {
            last.push(' ');
            last.push_str(word);
        } else {
            // At the beginning of a line these would be requests.
            let request = word.starts_with(['.', '\'']);
            let word = if request {
                format!("\\&{word}")
            } else {
                word.to_owned()
            };
            lines.push(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let long = format!(".TH {}\n{} .b c\n", "a ".repeat(50), "x".repeat(79));
        let expected = format!(
            ".TH {}\n{}\n\\&.b c\n",
            "a ".repeat(50).trim_end(),
            "x".repeat(79)
        );
        assert_eq!(tidy(&long), expected);
    }

    #[test]
    fn terms_stay_whole_and_breaks_are_not_doubled() {
        let term = "word ".repeat(20);
        let page = format!(".TP\n{term}\none\n.br\n\n.br\ntwo \n");
        let expected = format!(".TP\n{}\none\n.br\ntwo\n", term.trim_end());
        assert_eq!(tidy(&page), expected);
    }
}
