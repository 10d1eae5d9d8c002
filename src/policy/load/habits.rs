//! Habits from other languages, and what stands for them here.

/// What to write in the place of a word that is none in Rhai.
pub(in super::super) fn of_word(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "write `&&`",
        "or" => "write `||`",
        "not" => "write `!`: `!session.inside`, `x !in list(\"name\")`",
        "is" => "write `==`",
        "elif" | "elsif" | "elseif" => "write `else if`",
        "then" | "endif" | "fi" | "end" => {
            "what depends on a condition stands in braces: `if x { ... } else { ... }`"
        }
        "unless" => "write `if !...`",
        "function" | "func" | "def" | "sub" | "proc" => {
            "a function begins with `fn`: `fn rcpt(session, mail, rcpt) { ... }`"
        }
        "foreach" => "write `for x in ...`",
        "finally" => "there is none: what stands behind `catch` is done in any case",
        "true" | "yes" => "write `true`",
        "false" | "no" => "write `false`",
        "null" | "nil" | "none" | "undefined" => {
            "nothing is ever absent: compare with \"\", 0, or ask `.is_empty()`"
        }
        "recipient" => "it is `rcpt`",
        "accept" | "pass" | "allow" | "permit" | "ok" => {
            "there is no such verdict: a policy that has no objection ends, `return;`"
        }
        "any" | "exists" => "write `.some(|entry| ...)`",
        "every" => "write `.all(|entry| ...)`",
        "includes" | "has" | "contain" => "write `.contains(...)`",
        "length" | "size" | "count" | "strlen" => "write `.len()`",
        "lower" | "lowercase" | "tolower" | "tolowercase" | "downcase" | "lc" => "write `.to_lower()`",
        "upper" | "uppercase" | "toupper" | "touppercase" | "upcase" | "uc" => "write `.to_upper()`",
        "tostring" | "str" | "string" => {
            "write `.to_string()`, or fill it in between backticks: `...${x}...`"
        }
        "int" | "integer" | "number" => "write `parse_int(...)`",
        "substr" | "substring" | "slice" => "write `.sub_string(start, length)`",
        "strip" => "write `.trim()`, which changes its text in place",
        "regex" | "regexp" | "preg_match" | "test" | "search" => {
            "write `matches(\"regular expression\", text)`"
        }
        "log" | "console" | "warn" | "puts" | "echo" | "printf" | "println" => {
            "nobody would read it; use `note` or `tag`: they are in the log of each decision"
        }
        "in_list" | "inlist" | "is_listed" | "lookup" => "write `x in list(\"name\")`",
        "deny" | "refuse" | "block" | "fail" => "write `reject(\"rule\", \"why\")`",
        "tempfail" | "temporary" | "retry" | "deferr" => "write `defer(\"rule\", \"why\")`",
        "add_header" | "set_header" | "addheader" => {
            "write `message.append_header(name, text)`, or `prepend_header`"
        }
        "delete_header" | "del_header" | "removeheader" => "write `message.remove_header(name)`",
        "isset" | "defined" | "is_empty_string" => {
            "nothing is ever absent: compare with \"\", 0, or ask `.is_empty()`"
        }
        "resolve" | "gethostbyname" => "write `dns_a(name)`, `dns_mx(domain)`, `fcrdns(session)`",
        "date" | "time" => "the time is `now()`, in seconds",
        _ => return None,
    })
}

/// Whether the word begins what no compiler can go on behind.
pub(super) fn is_beginning(word: &str) -> bool {
    matches!(
        word,
        "function"
            | "func"
            | "def"
            | "sub"
            | "proc"
            | "foreach"
            | "elif"
            | "elsif"
            | "elseif"
            | "finally"
            | "unless"
    )
}

/// What to write in the place of a sign that is none in Rhai.
pub(super) fn of_sign(sign: &str) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 12] = [
        ("===", "write `==`"),
        ("!==", "write `!=`"),
        ("<>", "write `!=`"),
        ("=~", "write `matches(\"regular expression\", text)`"),
        ("=>", "a closure is written `|entry| ...`"),
        ("++", "write `n += 1`"),
        ("--", "write `n -= 1`"),
        ("?", "write `if x { \"yes\" } else { \"no\" }`, which gives a value: `let text = if ...;`"),
        ("#", "a comment begins with `//`"),
        (":=", "write `let name = ...`"),
        ("->", "a function says nothing about what it gives: `fn name(a, b) { ... }`"),
        ("=", "`=` gives a value to a variable, `==` compares"),
    ];
    SIGNS.into_iter().find(|(known, _)| sign.starts_with(known)).map(|(_, help)| help)
}
