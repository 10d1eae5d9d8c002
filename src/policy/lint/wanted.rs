//! Texts of settings, held against what scripts do with them.
//!
//! Where a script hands a text to what fails with it, that would be a fault of each mail: it is an error. One that is merely never
//! equal to what it is compared with is of no use. A text that the script asks for by its letters has a meaning of its own.

use super::super::language::{Form, Type};
use super::super::listing::{self, ZoneSpec};
use super::super::question::MAX_ZONES;
use super::value::Value;
use super::{compare, forms};

/// What scripts want of the texts of a setting: each place something of its own.
#[derive(Debug, Default)]
pub(in super::super) struct Wanted {
    wants: Vec<Want>,
    /// What the default looks like.
    default: Option<Form>,
}

/// What one place wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// The value, which a script compares with it.
    Equal(Value),
    /// A part of the value, or a pattern that finds it.
    Part(Value),
    /// Something of this form.
    Form(Form),
    /// An array of nothing but such, as a whole.
    All(Form),
    /// This text, which the script has a meaning for.
    Literal(String),
    /// Whatever the script finds in it when it runs.
    Any,
}

/// Why a text, or an array of them, is nothing that scripts want.
#[derive(Debug)]
pub(in super::super) struct Fault {
    /// What it has to be, so that no script fails: `a size such as 25MiB`. `None` of what merely is of no use.
    pub(in super::super) wanted: Option<String>,
    pub(in super::super) message: String,
    pub(in super::super) help: String,
}

impl Wanted {
    /// What others want too.
    pub(super) fn join(&mut self, other: Self) {
        other.wants.into_iter().for_each(|want| self.add(want));
    }

    /// The setting has a default of this type.
    pub(super) fn look_like(&mut self, default: Type) {
        self.default = match default {
            Type::Text(form) if forms::is_strict(form) => Some(form),
            _ => None,
        };
    }

    /// What one more place wants.
    pub(super) fn add(&mut self, want: Want) {
        if !self.wants.contains(&want) {
            self.wants.push(want);
        }
    }

    /// Whether a script has a meaning for the text.
    fn knows(&self, text: &str) -> bool {
        self.wants.iter().any(|want| matches!(want, Want::Literal(known) if known == text))
    }

    /// The forms that are wanted. A duration that is kept, too, is one of those.
    fn forms(&self) -> impl Iterator<Item = Form> {
        let is_kept = self.wants.contains(&Want::Form(Form::Keeping));
        self.wants.iter().filter_map(move |want| match want {
            Want::Form(Form::Duration) if is_kept => None,
            Want::Form(form) => Some(*form),
            _ => None,
        })
    }

    /// The form that a text has to have: what fails with any other takes it, or else it looks like the default.
    fn form(&self) -> Option<Form> {
        self.forms().find(|form| forms::is_strict(*form)).or(self.default)
    }

    /// Whether the text shows how to write one.
    pub(in super::super) fn is_example(&self, text: &str) -> bool {
        self.form().is_none_or(|form| forms::unfit(form, text).is_none())
    }

    /// What is wrong with a text, if anything is.
    pub(in super::super) fn fault(&self, text: &str) -> Option<Fault> {
        if self.knows(text) { None } else { self.misfit(text).or_else(|| self.useless(text)) }
    }

    /// Of what goes to several places, each of which takes another form, the script knows which is for which.
    fn misfit(&self, text: &str) -> Option<Fault> {
        let is_taken = self.forms().any(|form| forms::unfit(form, text).is_none());
        if is_taken || self.wants.contains(&Want::Any) {
            return None;
        }
        let form = self.form()?;
        let (message, help) = forms::unfit(form, text)?;
        Some(Fault { wanted: Some(format!("a {}", forms::called(form))), message, help })
    }

    /// No place has a use for the text. An empty one stands for none.
    fn useless(&self, text: &str) -> Option<Fault> {
        let wants = self.wants.iter().filter(|want| !matches!(want, Want::Literal(_) | Want::Any));
        let refused: Option<Vec<_>> = wants.map(|want| want.refuses(text)).collect();
        let (message, help) = refused?.into_iter().next().filter(|_| !text.is_empty())?;
        let help =
            if help.starts_with("write \"") { help } else { "it is taken letter by letter".to_owned() };
        Some(Fault { wanted: None, message, help })
    }

    /// What is wrong with an array as a whole: one question has room for so many lists in DNS.
    pub(in super::super) fn fault_of_all(&self, texts: &[String]) -> Option<Fault> {
        let specs: Vec<_> = texts.iter().filter_map(|text| ZoneSpec::parse(text)).collect();
        let fits = !self.wants.contains(&Want::All(Form::Zone)) || listing::zones(&specs).is_some();
        (!fits).then(|| Fault {
            wanted: Some(format!("an array of at most {MAX_ZONES} lists in DNS")),
            message: format!("no question has room for {} lists", specs.len()),
            help: ZoneSpec::HELP.to_owned(),
        })
    }
}

impl Want {
    /// Why the text is never what is wanted, and what to write in its place; `None` where it may be, or is a misfit if it is not.
    fn refuses(&self, text: &str) -> Option<(String, String)> {
        match self {
            Self::Equal(value) => compare::impossible(value, text),
            Self::Part(value) => compare::never_part(value, text),
            Self::Form(form) if !forms::is_strict(*form) => forms::unfit(*form, text),
            _ => None,
        }
    }
}
