//! The page for the operator's browser: one file, built in, that needs nothing from elsewhere and may load nothing.
//!
//! It holds nothing itself. What it shows it asks for with the token that is typed into it.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use super::routes::{Answer, text, with_header};

const PAGE: &str = include_str!("page.html");

/// Its own script and style, by their digests, and answers from here: nothing else is run, loaded or sent, and nobody may put it
/// into a frame (Content Security Policy Level 3).
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let (script, style) = (hash("<script>", "</script>")?, hash("<style>", "</style>")?);
    let policy = format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

fn hash(begin: &str, end: &str) -> Option<String> {
    let inner = PAGE.split_once(begin)?.1.split_once(end)?.0;
    Some(format!("sha256-{}", BASE64.encode(digest(&SHA256, inner.as_bytes()).as_ref())))
}

pub(super) fn answer() -> Answer {
    let Some(policy) = &*POLICY else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the page is not whole\n");
    };
    let mut page = with_header(text(StatusCode::OK, PAGE), CONTENT_TYPE, "text/html; charset=utf-8");
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy.clone());
    page = with_header(page, X_CONTENT_TYPE_OPTIONS, "nosniff");
    with_header(page, HeaderName::from_static("referrer-policy"), "no-referrer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_runs_its_own_script_and_nothing_else() {
        let page = answer();
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!PAGE.contains("innerHTML") && !PAGE.contains("http://") && !PAGE.contains("https://"));
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert!(!PAGE.contains("style=") && !PAGE.contains("onclick=\""), "the policy forbids them");
    }
}
