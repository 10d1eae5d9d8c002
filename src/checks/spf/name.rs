//! Names and texts that a record puts together from the session.

/// A name or a text, and the same without the local part of the sender: decisions may be kept without those (`decisions.redact`), and what
/// a macro has made of one (`%{l1r-}`) nobody finds again afterwards.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    /// As it is asked for.
    pub(super) whole: String,
    /// Without the local part; `None` where there is none in it.
    pub(super) less: Option<String>,
}

impl From<String> for Name {
    fn from(whole: String) -> Self {
        Self { whole, less: None }
    }
}

impl Name {
    /// The name with as much of it as everybody may see.
    pub(super) fn shown(&self) -> &str {
        self.less.as_deref().unwrap_or(&self.whole)
    }
}
