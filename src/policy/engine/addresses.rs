//! Addresses as objects, and the properties that recipients share with them.

use std::ops::Deref;
use std::sync::Arc;

use rhai::{Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::scene::{self, MailScene};
use super::super::turn::Turn;
use super::mail::Rcpt;
use super::session::text;

/// `mail.sender`, an entry of `message.from`, what `address(text)` gives.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Of(Arc<scene::Address>),
    /// `mail.sender`, which nearly every policy reads.
    Sender(Arc<MailScene>),
}

impl Address {
    pub(super) fn new(address: scene::Address) -> Self {
        Self::Of(Arc::new(address))
    }
}

impl Deref for Address {
    type Target = scene::Address;

    fn deref(&self) -> &scene::Address {
        match self {
            Self::Of(address) => address,
            Self::Sender(mail) => &mail.sender,
        }
    }
}

impl AsRef<scene::Address> for Address {
    fn as_ref(&self) -> &scene::Address {
        self
    }
}

impl AsRef<scene::Address> for Rcpt {
    fn as_ref(&self) -> &scene::Address {
        &self.0.address
    }
}

pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Address>("Address");
    register_properties::<Address>(engine);
    register_properties::<Rcpt>(engine);
    engine.register_get("is_ours", |call: NativeCallContext<'_>, it: &mut Address| is_ours(&call, it));
    register_comparisons::<Address>(engine);
    register_comparisons::<Rcpt>(engine);
    engine.register_fn("address", |text: ImmutableString| Address::new(scene::Address::of_text(&text)));
}

/// Where every domain is a recipient's, an author's is not ours for that.
fn is_ours(call: &NativeCallContext<'_>, address: &Address) -> Result<bool, Box<EvalAltResult>> {
    Ok(Turn::of(call)?.0.policies.our_domains.names(address.domain()))
}

/// What an address and a recipient have in common.
fn register_properties<T: AsRef<scene::Address> + Clone + Send + Sync + 'static>(engine: &mut Engine) {
    engine.register_get("address", |it: &mut T| text((*it).as_ref().address()));
    engine.register_get("original", |it: &mut T| text((*it).as_ref().original()));
    engine.register_get("local_part", |it: &mut T| text((*it).as_ref().local_part()));
    engine.register_get("domain", |it: &mut T| text((*it).as_ref().domain()));
    engine.register_get("domain_unicode", |it: &mut T| {
        ImmutableString::from(idna::domain_to_unicode((*it).as_ref().domain()).0)
    });
    engine.register_get("display", |it: &mut T| text((*it).as_ref().display()));
    engine.register_get("is_null", |it: &mut T| (*it).as_ref().is_null());
    engine.register_fn("to_string", |it: &mut T| text((*it).as_ref().address()));
    engine.register_fn("to_debug", |it: &mut T| text((*it).as_ref().address()));
}

/// An address equals the text of its comparable form.
fn register_comparisons<T: AsRef<scene::Address> + Clone + Send + Sync + 'static>(engine: &mut Engine) {
    fn is(it: &impl AsRef<scene::Address>, text: &str) -> bool {
        it.as_ref().address() == text
    }
    engine.register_fn("==", |it: T, text: ImmutableString| is(&it, &text));
    engine.register_fn("==", |text: ImmutableString, it: T| is(&it, &text));
    engine.register_fn("!=", |it: T, text: ImmutableString| !is(&it, &text));
    engine.register_fn("!=", |text: ImmutableString, it: T| !is(&it, &text));
    engine.register_fn("==", |one: T, other: Address| is(&one, other.address()));
    engine.register_fn("!=", |one: T, other: Address| !is(&one, other.address()));
    engine.register_fn("==", |one: T, other: Rcpt| is(&one, other.0.address.address()));
    engine.register_fn("!=", |one: T, other: Rcpt| !is(&one, other.0.address.address()));
}
