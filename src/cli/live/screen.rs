//! A terminal, or what is there instead of one.

use std::io::{self, IsTerminal};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where standard output goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// Columns and rows of a terminal.
    size: Option<(usize, usize)>,
    coloured: bool,
}

impl Screen {
    /// As it is now: a window changes its size.
    pub(super) fn of_output() -> Self {
        let output = io::stdout();
        if !output.is_terminal() {
            return Self {
                size: None,
                coloured: false,
            };
        }
        let size = rustix::termios::tcgetwinsize(output).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        Self {
            size: Some(size.map_or((80, 24), |size| {
                (usize::from(size.ws_col), usize::from(size.ws_row))
            })),
            // https://no-color.org: whatever it holds, if it holds something.
            coloured: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Whether one frame can be drawn over another.
    pub(super) fn is_terminal(self) -> bool {
        self.size.is_some()
    }

    /// How many rows there are; none if there is no end of them.
    pub(super) fn rows(self) -> Option<usize> {
        self.size.map(|(_, rows)| rows)
    }

    /// A line that fits.
    pub(super) fn fit(self, line: &str) -> String {
        match self.size {
            Some((columns, _)) => cut(line, columns).to_owned(),
            None => line.to_owned(),
        }
    }

    /// The same, brighter than others.
    pub(super) fn bold(self, line: &str) -> String {
        self.styled(line, "1")
    }

    /// The same, as a warning.
    pub(super) fn red(self, line: &str) -> String {
        self.styled(line, "31")
    }

    fn styled(self, line: &str, style: &str) -> String {
        let line = self.fit(line);
        if self.coloured {
            format!("\u{1b}[{style}m{line}\u{1b}[0m")
        } else {
            line
        }
    }
}

/// As much of a line as has room in so many columns.
fn cut(line: &str, columns: usize) -> &str {
    if line.width() <= columns {
        return line;
    }
    let mut used = 0;
    for (place, letter) in line.char_indices() {
        used += letter.width().unwrap_or(0);
        if used > columns {
            return &line[..place];
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_letters_take_two_columns() {
        for (line, columns, expected) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("印章abc", 4, "印章"),
            ("印章abc", 3, "印"),
            ("e\u{301}abc", 2, "e\u{301}a"),
            ("abc", 0, ""),
        ] {
            assert_eq!(cut(line, columns), expected);
        }
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        let screen = |coloured| Screen {
            size: Some((5, 24)),
            coloured,
        };
        assert_eq!(screen(false).bold("too long"), "too l");
        assert_eq!(screen(true).red("too long"), "\u{1b}[31mtoo l\u{1b}[0m");
    }
}
