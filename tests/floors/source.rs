// SPDX-License-Identifier: GPL-2.0-only
//! Which paths a Rust file names, without what is behind `#[cfg(test)]`: a few tokens of lookahead, no parser of Rust.

/// A path as it stands in a file, like `crate::lpi::Lpi`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    pub line: usize,
    /// The inline modules around it.
    pub scope: Vec<String>,
    pub path: Vec<String>,
    /// What a `use` calls it from there on; `None` for a path in the code.
    pub alias: Option<String>,
    /// `pub use`, in any of its forms.
    pub exported: bool,
}

/// What a file says.
#[derive(Default, Debug)]
pub struct Source {
    pub named: Vec<Named>,
    /// Modules that it declares for tests only.
    pub test_modules: Vec<String>,
}

struct Token {
    text: String,
    line: usize,
}

/// Identifiers, `::`, and all else character by character. Comments, literals and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => depth += 1,
                        ('*', '/') => depth -= 1,
                        _ => {
                            i += 1;
                            continue;
                        }
                    }
                    i += 2;
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            'r' | 'b' | 'c' if raw_string(&chars, i).is_some() => {
                i = raw_string(&chars, i).expect("it is one");
            }
            '"' => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            '\'' => {
                i += 1;
                while word(at(i)) {
                    i += 1;
                }
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                tokens.push(Token {
                    text: "::".into(),
                    line,
                });
            }
            c if c.is_whitespace() => i += 1,
            c => {
                i += 1;
                while word(c) && word(at(i)) {
                    i += 1;
                }
                tokens.push(Token {
                    text: chars[start..i].iter().collect(),
                    line,
                });
            }
        }
        let end = i.min(chars.len());
        line += chars[start..end].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Where a raw string that begins here ends.
fn raw_string(chars: &[char], mut i: usize) -> Option<usize> {
    while matches!(chars.get(i), Some('b' | 'c')) {
        i += 1;
    }
    if chars.get(i) != Some(&'r') {
        return None;
    }
    i += 1;
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    i += hashes;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    i += 1;
    while i < chars.len() {
        let closed =
            chars[i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        i += 1;
        if closed {
            return Some(i + hashes);
        }
    }
    Some(i)
}

/// Reads a file.
pub fn read(text: &str) -> Source {
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
        blocks: Vec::new(),
        source: Source::default(),
    };
    reader.all();
    reader.source
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    /// The open braces, with the name of those that are modules.
    blocks: Vec<Option<String>>,
    source: Source,
}

impl Reader {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |t| &t.text)
    }

    fn before(&self) -> &str {
        let before = self.at.checked_sub(1);
        before.map_or("", |at| &self.tokens[at].text)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |t| t.line)
    }

    fn is_name(&self, ahead: usize) -> bool {
        let first = self.peek(ahead).chars().next();
        first.is_some_and(|c| c.is_alphabetic() || c == '_')
    }

    fn all(&mut self) {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" if self.is_test_only() => {
                    self.skip_group("]");
                    self.skip_item();
                }
                "use" if self.peek(1) != "<" => {
                    let exported = matches!(self.before(), "pub" | ")");
                    self.at += 1;
                    self.tree(&[], exported);
                }
                "mod" if self.peek(2) == "{" => {
                    self.blocks.push(Some(self.peek(1).into()));
                    self.at += 3;
                }
                "{" => {
                    self.blocks.push(None);
                    self.at += 1;
                }
                "}" => {
                    self.blocks.pop();
                    self.at += 1;
                }
                _ if self.is_name(0) && self.peek(1) == "::" => self.path(),
                _ => self.at += 1,
            }
        }
    }

    /// A path in the code.
    fn path(&mut self) {
        let (line, goes_on) = (self.line(), self.before() == "::");
        let mut path = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.peek(0) == "::" && self.is_name(1) {
            path.push(self.peek(1).into());
            self.at += 2;
        }
        if !goes_on {
            self.name(line, path, None, false);
        }
    }

    /// A tree of a `use`, after `prefix`.
    fn tree(&mut self, prefix: &[String], exported: bool) {
        let mut path = prefix.to_vec();
        let line = self.line();
        loop {
            match self.peek(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | "") {
                        self.tree(&path, exported);
                        if self.peek(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    return self.name(line, path, Some("*".into()), exported);
                }
                "as" => {
                    let alias = self.peek(1).to_owned();
                    self.at += 2;
                    return self.name(line, path, Some(alias), exported);
                }
                "self" if !path.is_empty() => self.at += 1,
                _ if self.is_name(0) => {
                    path.push(self.peek(0).into());
                    self.at += 1;
                }
                // What ends it is for who has begun it.
                _ => {
                    let alias = path.last().cloned();
                    return self.name(line, path, alias, exported);
                }
            }
        }
    }

    fn name(&mut self, line: usize, path: Vec<String>, alias: Option<String>, exported: bool) {
        self.source.named.push(Named {
            line,
            scope: self.blocks.iter().flatten().cloned().collect(),
            path,
            alias,
            exported,
        });
    }

    /// `#[cfg(test)]`, or with more conditions.
    fn is_test_only(&self) -> bool {
        let is = |from: usize, what: &[&str]| {
            let mut all = what.iter().enumerate();
            all.all(|(n, text)| self.peek(from + n) == *text)
        };
        is(1, &["[", "cfg", "("]) && (is(4, &["test", ")"]) || is(4, &["all", "(", "test", ","]))
    }

    /// To behind the next `close` that is not of a group within.
    fn skip_group(&mut self, close: &str) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            let text = self.peek(0).to_owned();
            self.at += 1;
            match &*text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && text == close {
                return;
            }
        }
    }

    /// The item, field or statement that an attribute is on.
    fn skip_item(&mut self) {
        while self.peek(0) == "#" {
            self.skip_group("]");
        }
        if self.peek(0) == "pub" {
            self.at += 1;
            if self.peek(0) == "(" {
                self.skip_group(")");
            }
        }
        let kind = self.peek(0).to_owned();
        if kind == "mod" && self.peek(2) == ";" {
            self.source.test_modules.push(self.peek(1).into());
        }
        let to_semicolon =
            matches!(&*kind, "use" | "const" | "static" | "type" | "let") && self.peek(1) != "fn";
        let item = to_semicolon
            || matches!(
                &*kind,
                "fn" | "mod" | "impl" | "struct" | "enum" | "trait" | "unsafe" | "async" | "const"
            );
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => {
                    self.skip_group("}");
                    if !to_semicolon {
                        return;
                    }
                }
                "(" => self.skip_group(")"),
                "[" => self.skip_group("]"),
                ";" => {
                    self.at += 1;
                    return;
                }
                "," if !item => {
                    self.at += 1;
                    return;
                }
                // The end of what it is in.
                "}" => return,
                _ => self.at += 1,
            }
        }
    }
}
