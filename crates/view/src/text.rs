//! The text of a message, in parts: links and code. Nothing else in a text means anything, and no part of it is markup.

#[cfg(test)]
mod tests;

/// The longest run of backticks that begins code within a line.
const TICKS_MAX: usize = 3;

/// How long the name of a block's language may be, in bytes. It is not shown: anything longer is text.
const LANGUAGE_MAX: usize = 20;

/// A part of a text. All parts of a text together are the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text.
    Plain(&'a str),
    /// An absolute URL, `http:`, `https:` or `mailto:`, of printable ASCII. It shows where it leads.
    Link(&'a str),
    /// Code, with the marks around it.
    Code {
        /// The mark before it: backticks; of a block, with the language's name and the end of the line.
        open: &'a str,
        /// The code, never blank.
        code: &'a str,
        /// The mark after it; of a block, with the ends of the lines around.
        close: &'a str,
        /// Whether it is a block, of lines of its own.
        is_block: bool,
    },
}

/// The parts of a text. Takes time in proportion to the text's length, whatever it holds.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut scan = Scan {
        text,
        bytes: text.as_bytes(),
        parts: Vec::new(),
        plain: 0,
        unclosed: [0; TICKS_MAX + 1],
        is_last_block: false,
    };
    let mut at = 0;
    while let Some(byte) = scan.bytes.get(at) {
        at = match byte {
            b'`' => scan.code(at),
            b'h' | b'H' | b'm' | b'M' if scan.begins_word(at) => scan.link(at),
            _ => at + 1,
        };
    }
    scan.plain_until(at);
    scan.parts
}

/// All marks are ASCII, so every place between parts is between characters.
struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    parts: Vec<Part<'a>>,
    /// Where the text begins that is in no part yet.
    plain: usize,
    /// By the number of backticks: up to where the line holds no run of that many. So no stretch is searched twice.
    unclosed: [usize; TICKS_MAX + 1],
    /// Whether no block ends any more.
    is_last_block: bool,
}

impl<'a> Scan<'a> {
    fn plain_until(&mut self, at: usize) {
        if self.plain < at {
            self.parts.push(Part::Plain(&self.text[self.plain..at]));
        }
    }

    /// Adds a part from `at` to `end`, where the next one begins.
    fn add(&mut self, at: usize, end: usize, part: Part<'a>) -> usize {
        self.plain_until(at);
        self.parts.push(part);
        self.plain = end;
        end
    }

    fn begins_word(&self, at: usize) -> bool {
        at == 0 || !self.bytes[at - 1].is_ascii_alphanumeric()
    }

    /// The number of bytes from `at` on for which `is` holds.
    fn run(&self, at: usize, is: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes[at..].iter();
        rest.take_while(|byte| is(**byte)).count()
    }

    fn has(&self, at: usize, scheme: &str) -> bool {
        let found = self.bytes.get(at..at + scheme.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(scheme.as_bytes()))
    }

    /// A link, if one is there. Returns where to go on: never within what was searched.
    fn link(&mut self, at: usize) -> usize {
        let schemes = ["https://", "http://", "mailto:"];
        let Some(scheme) = schemes.into_iter().find(|scheme| self.has(at, scheme)) else {
            return at + 1;
        };
        let start = at + scheme.len();
        let end = start + self.run(start, is_of_url);
        let rest = trimmed(&self.text[start..end]);
        let (rest, is_address) = if scheme == "mailto:" {
            // Without the fields that could follow it.
            let address = rest.split('?').next().unwrap_or_default();
            (address, is_mailbox(address))
        } else {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            // What stands before an `@` looks like a host, and is none.
            let is_host = host.starts_with(|first: char| first.is_ascii_alphanumeric());
            (rest, is_host && !host.contains('@'))
        };
        if !is_address {
            return end;
        }
        let stop = start + rest.len();
        self.add(at, stop, Part::Link(&self.text[at..stop]));
        // What was cut off begins no other link.
        end
    }

    /// Code, if it is there. Returns where to go on.
    fn code(&mut self, at: usize) -> usize {
        let ticks = self.run(at, |byte| byte == b'`');
        let begins_line = at == 0 || self.bytes[at - 1] == b'\n';
        let block = if ticks == 3 && begins_line {
            self.block(at)
        } else {
            None
        };
        let start = at + ticks;
        let found = block.or_else(|| {
            let close = self.closing(start, ticks)?;
            Some((start, close, close + ticks, false))
        });
        let Some((from, to, end, is_block)) = found else {
            return start;
        };
        let text = self.text;
        let part = |from: usize, to: usize| &text[from..to];
        let code = part(from, to);
        if code.trim().is_empty() {
            return start;
        }
        let code = Part::Code {
            open: part(at, from),
            code,
            close: part(to, end),
            is_block,
        };
        self.add(at, end, code)
    }

    /// Where a run of just so many backticks begins, on the line of `start`.
    fn closing(&mut self, start: usize, ticks: usize) -> Option<usize> {
        if *self.unclosed.get(ticks)? > start {
            return None;
        }
        let mut at = start;
        loop {
            match self.bytes.get(at) {
                Some(b'`') => {
                    let run = self.run(at, |byte| byte == b'`');
                    if run == ticks {
                        return Some(at);
                    }
                    at += run;
                }
                None | Some(b'\n') => {
                    self.unclosed[ticks] = at;
                    return None;
                }
                Some(_) => at += 1,
            }
        }
    }

    /// The beginning, the end of the code and the end of a block whose fence is at `at`.
    fn block(&mut self, at: usize) -> Option<(usize, usize, usize, bool)> {
        let language = self.run(at + 3, |byte| {
            byte.is_ascii_alphanumeric() || b"+-#._".contains(&byte)
        });
        let line_end = at + 3 + language;
        let is_open = !self.is_last_block
            && language <= LANGUAGE_MAX
            && self.bytes.get(line_end) == Some(&b'\n');
        if !is_open {
            return None;
        }
        let mut from = line_end;
        while let Some(found) = self.text[from..].find("\n```") {
            let to = from + found;
            let end = to + 4;
            match self.bytes.get(end) {
                None => return Some((line_end + 1, to.max(line_end + 1), end, true)),
                Some(b'\n') => return Some((line_end + 1, to.max(line_end + 1), end + 1, true)),
                Some(_) => from = end,
            }
        }
        self.is_last_block = true;
        None
    }
}

/// Whether a URL may hold the byte. Others, such as those of the letters of other scripts, end it.
fn is_of_url(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"<>\"`{}|\\^".contains(&byte)
}

/// Whether the character, at the end of a URL, belongs to the sentence around it.
const fn is_stop(last: char) -> bool {
    matches!(
        last,
        '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '~'
    )
}

/// A URL without what belongs to the sentence around it: stops, and brackets that were opened before it.
fn trimmed(url: &str) -> &str {
    let count = |some: [char; 2]| url.matches(some).count();
    let mut surplus = count([')', ']']).saturating_sub(count(['(', '[']));
    let is_around = |last: char| {
        let is_surplus = matches!(last, ')' | ']') && surplus > 0;
        surplus -= usize::from(is_surplus);
        is_surplus || is_stop(last)
    };
    url.trim_end_matches(is_around)
}

/// Whether it is an address such as `ada@example.org`.
fn is_mailbox(address: &str) -> bool {
    address.split_once('@').is_some_and(|(name, host)| {
        let is_fit = |part: &str, more: &str| {
            let mut all = part.chars();
            !part.is_empty() && all.all(|it| it.is_ascii_alphanumeric() || more.contains(it))
        };
        is_fit(name, "._%+-") && is_fit(host, ".-")
    })
}
