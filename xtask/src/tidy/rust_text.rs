//! Rust source with its comments and literals blanked, and where its functions and tests are.
//!
//! A full parser would drag `syn` into every build of these tasks. The rules only need to know
//! code from text and to match braces, which a scanner of one pass does.

use std::ops::Range;

use crate::manifest::line_of;

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Line of the word `fn`.
    pub(super) line: usize,
    /// Lines from there to the closing brace, both counted.
    pub(super) lines: usize,
}

/// A source file of which only the code is left; every byte keeps its place.
#[derive(Debug)]
pub(super) struct RustText {
    code: String,
}

impl RustText {
    /// Blanks the comments and literals of `source`.
    pub(super) fn new(source: &str) -> Self {
        let mut blanker = Blanker { source: source.as_bytes(), at: 0, code: Vec::new() };
        blanker.run();
        // Whole literals and comments are replaced and everything else is copied, so no character
        // is cut; `lossy` only spares a panic that cannot happen.
        RustText { code: String::from_utf8_lossy(&blanker.code).into_owned() }
    }

    /// The code, with spaces where comments and literals were.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Line of the byte `offset`, counted from one.
    pub(super) fn line(&self, offset: usize) -> usize {
        line_of(&self.code, offset)
    }

    /// Every function with a body, also those inside others.
    pub(super) fn functions(&self) -> Vec<Function> {
        self.words("fn").filter_map(|at| self.function(at)).collect()
    }

    /// The bodies of modules under `#[cfg(test)]`.
    pub(super) fn test_modules(&self) -> Vec<Range<usize>> {
        const MARK: &str = "#[cfg(test)]";
        let body = |(at, _): (usize, &str)| {
            let after = at + MARK.len();
            let open = after + self.code[after..].find(['{', ';'])?;
            let is_module = self.code[after..open].split_whitespace().any(|word| word == "mod");
            let starts_body = is_module && self.code[open..].starts_with('{');
            Some(open..self.closing_brace(open)?).filter(|_| starts_body)
        };
        self.code.match_indices(MARK).filter_map(body).collect()
    }

    /// Offsets of `word` where it is a whole word.
    pub(super) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let bytes = self.code.as_bytes();
        self.code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
            let free_before = at == 0 || !is_ident(bytes[at - 1]);
            let free_after = bytes.get(at + word.len()).is_none_or(|byte| !is_ident(*byte));
            // `r#fn` is a name.
            free_before && free_after && !self.code[..at].ends_with("r#")
        })
    }

    fn function(&self, at: usize) -> Option<Function> {
        let rest = self.code[at + 2..].trim_start();
        // `$` begins the name in a macro that makes functions.
        let name_end = rest.bytes().position(|b| !is_ident(b) && b != b'$' && b != b'#');
        let name = &rest[..name_end.unwrap_or(rest.len())];
        if name.is_empty() {
            return None; // the type `fn(..)`
        }
        let open = self.body_start(self.code.len() - rest.len() + name.len())?;
        let close = self.closing_brace(open)?;
        let (line, last) = (self.line(at), self.line(close));
        Some(Function { name: name.to_owned(), line, lines: last - line + 1 })
    }

    /// The brace that opens the body of the function whose name ends at `from`; none for a
    /// declaration.
    fn body_start(&self, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (offset, byte) in self.code.bytes().enumerate().skip(from) {
            match byte {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth = depth.checked_sub(1)?,
                b'{' if depth == 0 => return Some(offset),
                b';' if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    fn closing_brace(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (offset, byte) in self.code.bytes().enumerate().skip(open) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(offset);
            }
        }
        None
    }
}

fn is_ident(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

struct Blanker<'s> {
    source: &'s [u8],
    at: usize,
    code: Vec<u8>,
}

impl Blanker<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.source.get(self.at) {
            let rest = &self.source[self.at..];
            match byte {
                b'/' if rest.starts_with(b"//") => self.blank(line_comment(rest)),
                b'/' if rest.starts_with(b"/*") => self.blank(block_comment(rest)),
                b'"' => self.blank(string(rest)),
                b'r' if !self.in_word() => self.blank_or_copy(raw_string(rest)),
                b'\'' => self.blank_or_copy(character(rest)),
                _ => self.copy(),
            }
        }
    }

    /// Whether the byte before this one belongs to a word, as the `r` of `for` does. The prefixes
    /// of byte and C strings may stand before an `r`.
    fn in_word(&self) -> bool {
        let word = self.code.rsplit(|byte| !is_ident(*byte)).next().unwrap_or_default();
        !matches!(word, b"" | b"b" | b"c")
    }

    fn copy(&mut self) {
        self.code.push(self.source[self.at]);
        self.at += 1;
    }

    fn blank(&mut self, length: usize) {
        let end = (self.at + length).min(self.source.len());
        let blank = |byte: &u8| if *byte == b'\n' { b'\n' } else { b' ' };
        self.code.extend(self.source[self.at..end].iter().map(blank));
        self.at = end;
    }

    fn blank_or_copy(&mut self, length: Option<usize>) {
        match length {
            Some(length) => self.blank(length),
            None => self.copy(),
        }
    }
}

fn line_comment(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of the raw string at the start of `rest`; none when it is a name such as `r#fn` or `row`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.extend(std::iter::repeat_n(b'#', hashes));
    let body = 2 + hashes;
    let close = rest[body..].windows(end.len()).position(|window| window == end);
    Some(close.map_or(rest.len(), |close| body + close + end.len()))
}

/// Length of the character literal at the start of `rest`; none when it is a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b'\\' => {
            // The escaped character may itself be a quote.
            let close = rest.get(3..)?.iter().position(|byte| *byte == b'\'')?;
            Some(3 + close + 1)
        }
        first => {
            let width = match first.leading_ones() {
                0 => 1,
                ones => ones as usize,
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> String {
        let text = RustText::new(source);
        assert_eq!(text.code().len(), source.len(), "every byte keeps its place");
        text.code().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(code("a // fn x() {\nb"), "a b");
        assert_eq!(code("a /* { /* } */ { */ b"), "a b");
        assert_eq!(code(r#"a("{ \" }", b"{", c"}")"#), "a( , b , c )");
        assert_eq!(code(r###"a(r"\", r#"{"}"#, br##"""# "##)"###), "a( , , b )");
        assert_eq!(code(r"a('{', '\'', '\u{7d}', 'é', b'}')"), "a( , , , , b )");
    }

    #[test]
    fn names_and_lifetimes_stay() {
        assert_eq!(code("fn r#fn<'a>(row: &'a str) -> for<'b> fn(&'b u8)"), {
            "fn r#fn<'a>(row: &'a str) -> for<'b> fn(&'b u8)"
        });
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let source = "\
/// fn not_this() {}
pub async fn first<T>(
    x: [u8; 2],
) -> fn(u8) -> u8
where
    T: Fn() -> u8,
{
    let s = \"}\";
    fn inner() {
    }
}
trait T { fn declared(&self) -> [u8; 4]; fn given(&self) {} }
macro_rules! make { ($name:ident) => { fn $name() {
} } }
";
        let functions = RustText::new(source).functions();
        let found: Vec<_> = functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, [("first", 2, 10), ("inner", 9, 2), ("given", 12, 1), ("$name", 13, 2)]);
    }

    #[test]
    fn only_test_modules_with_a_body_count() {
        let source = "#[cfg(test)]\nuse x;\n#[cfg(test)]\nmod far;\n#[cfg(test)]\n\
                      #[allow(dead_code)]\nmod near { fn a() {} }\nfn b() {}\n";
        let text = RustText::new(source);
        let modules = text.test_modules();
        let bodies: Vec<_> = modules.into_iter().map(|range| &text.code()[range]).collect();
        assert_eq!(bodies, ["{ fn a() {} "]);
    }
}
