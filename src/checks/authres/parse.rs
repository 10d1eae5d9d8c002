//! Reads a field of results by the grammar of RFC 8601 2.2: those of others in an ARC chain, and our own in tests.

/// What a field says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuthenticationResults {
    /// Whose word it is.
    pub authserv_id: String,
    /// In the order of the field.
    pub results: Vec<MethodResult>,
}

/// One result.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MethodResult {
    /// `spf`, `dkim`, `dmarc`..., in lower case.
    pub method: String,
    /// `pass`, `fail`, `none`..., in lower case.
    pub result: String,
    /// Why, in free text; empty when the field does not say.
    pub reason: String,
    /// `ptype.property` in lower case, and its value without quotes.
    pub properties: Vec<(String, String)>,
}

/// The text is no field of results.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not in the grammar of Authentication-Results")]
pub struct NotResults;

/// A comment may hold comments; RFC 5322 sets no depth, people need none.
const MAX_COMMENT_DEPTH: usize = 8;

impl AuthenticationResults {
    /// Reads the value of a field, folded or not.
    ///
    /// # Errors
    /// It does not follow the grammar to its end: then nothing of it counts.
    pub fn parse(value: &str) -> Result<Self, NotResults> {
        let mut words = Words { rest: value };
        let authserv_id = words.value()?;
        // A version, which there is one of.
        if words.skip()?.starts_with(|c: char| c.is_ascii_digit()) && words.token()? != "1" {
            return Err(NotResults);
        }
        let mut results = Vec::new();
        while !words.skip()?.is_empty() {
            words.expect(';')?;
            match words.skip()? {
                "" => break,
                _ => results.extend(words.result()?),
            }
        }
        Ok(Self { authserv_id, results })
    }

    /// The result of the first method of this name; empty when there is none.
    pub fn result_of(&self, method: &str) -> &str {
        let found = self.results.iter().find(|found| found.method == method);
        found.map_or("", |found| found.result.as_str())
    }
}

/// What is still to be read.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// Goes over white space and comments; gives what comes then.
    fn skip(&mut self) -> Result<&'a str, NotResults> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
            if !self.rest.starts_with('(') {
                return Ok(self.rest);
            }
            self.comment()?;
        }
    }

    fn comment(&mut self) -> Result<(), NotResults> {
        let (mut depth, mut escaped) = (0_usize, false);
        for (at, c) in self.rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' if depth == MAX_COMMENT_DEPTH => return Err(NotResults),
                '(' => depth += 1,
                ')' if depth == 1 => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(());
                }
                ')' => depth -= 1,
                _ => {}
            }
        }
        Err(NotResults)
    }

    fn expect(&mut self, wanted: char) -> Result<(), NotResults> {
        self.rest = self.skip()?.strip_prefix(wanted).ok_or(NotResults)?;
        Ok(())
    }

    /// A token of RFC 2045 5.1 without the characters that this grammar uses.
    fn token(&mut self) -> Result<&'a str, NotResults> {
        let rest = self.skip()?;
        let is_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=.".contains(c);
        let (token, rest) = rest.split_at(rest.find(|c| !is_token(c)).unwrap_or(rest.len()));
        self.rest = rest;
        if token.is_empty() { Err(NotResults) } else { Ok(token) }
    }

    /// A token or a quoted string, or one of the addresses and dotted names that `pvalue` allows.
    fn value(&mut self) -> Result<String, NotResults> {
        let rest = self.skip()?;
        if rest.starts_with('"') {
            let mut value = self.quoted()?;
            // A quoted local part goes on with its domain.
            if self.rest.starts_with('@') {
                value.push_str(self.bare()?);
            }
            return Ok(value);
        }
        self.bare().map(str::to_owned)
    }

    fn bare(&mut self) -> Result<&'a str, NotResults> {
        let is_bare = |c: char| (c.is_ascii_graphic() || !c.is_ascii()) && !"()<>,;\\\"".contains(c);
        let (value, rest) = self.rest.split_at(self.rest.find(|c| !is_bare(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        if value.is_empty() { Err(NotResults) } else { Ok(value) }
    }

    fn quoted(&mut self) -> Result<String, NotResults> {
        let (mut value, mut escaped) = (String::new(), false);
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => {
                    escaped = false;
                    value.push(c);
                }
                '\\' => escaped = true,
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(value);
                }
                _ => value.push(c),
            }
        }
        Err(NotResults)
    }

    /// `method [/ version] = result [reason = ...] *(ptype . property = pvalue)`; nothing for `none` alone.
    fn result(&mut self) -> Result<Option<MethodResult>, NotResults> {
        let method = self.token()?.to_ascii_lowercase();
        if method == "none" && matches!(self.skip()?.chars().next(), None | Some(';')) {
            return Ok(None);
        }
        if self.skip()?.starts_with('/') {
            self.expect('/')?;
            self.token()?;
        }
        self.expect('=')?;
        let result = self.token()?.to_ascii_lowercase();
        let mut found = MethodResult { method, result, ..MethodResult::default() };
        while !matches!(self.skip()?.chars().next(), None | Some(';')) {
            self.detail(&mut found)?;
        }
        Ok(Some(found))
    }

    fn detail(&mut self, found: &mut MethodResult) -> Result<(), NotResults> {
        let kind = self.token()?.to_ascii_lowercase();
        if kind == "reason" {
            self.expect('=')?;
            self.skip()?;
            found.reason = self.value()?;
            return Ok(());
        }
        self.expect('.')?;
        let property = self.token()?.to_ascii_lowercase();
        self.expect('=')?;
        self.skip()?;
        let value = self.value()?;
        found.properties.push((format!("{kind}.{property}"), value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(value: &str) -> Vec<(String, String)> {
        let parsed = AuthenticationResults::parse(value).unwrap_or_else(|_| panic!("{value}"));
        parsed.results.into_iter().map(|found| (found.method, found.result)).collect()
    }

    /// The examples of RFC 8601 appendix B, and what is found in the wild.
    #[test]
    fn fields_of_the_rfc() {
        for (value, expected) in [
            ("example.org 1; none", &[] as &[(&str, &str)]),
            ("example.com;\r\n spf=pass smtp.mailfrom=example.net", &[("spf", "pass")]),
            (
                "example.com; auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=fail smtp.mailfrom=example.net",
                &[("auth", "pass"), ("spf", "fail")],
            ),
            (
                "example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net; dkim=fail \
                 reason=\"bad signature\" header.i=@newyork.example.com",
                &[("dkim", "pass"), ("dkim", "fail")],
            ),
            (
                "foo.example.net (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay) = (wait for it) fail policy \
                 (A dot can go here) . (like that) expired (this surprised me) = (as I wasn't expecting it) 1362471462",
                &[("dkim", "fail")],
            ),
            (
                "mx.google.com; dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=example.org;",
                &[("dmarc", "pass")],
            ),
            ("i.example; x=pass a.b=\"q;\\\" dmarc=pass\"", &[("x", "pass")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(m, r)| ((*m).to_owned(), (*r).to_owned())).collect();
            assert_eq!(results(value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_field_says_nothing() {
        for value in [
            "",
            ";",
            "example.org dmarc=pass",
            "example.org; dmarc",
            "example.org; dmarc=",
            "example.org; =pass",
            "example.org 2; dmarc=pass",
            "example.org; dmarc=pass (",
            "example.org; dmarc=pass header.from",
            "example.org; dmarc=pass header.from=\"x",
            "example.org; dmarc=pass, spf=pass",
            "(((((((((x))))))))) a; b=c",
        ] {
            assert_eq!(AuthenticationResults::parse(value), Err(NotResults), "{value}");
        }
    }
}
