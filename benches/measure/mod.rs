//! What the measurements have in common: the time of a processor, the best of many rounds, goals that are held or missed.

// Each of them takes its part.
#![allow(dead_code)]

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rustix::time::{ClockId, clock_gettime};

/// The best of so many rounds counts: whatever else the machine does only adds.
const ROUNDS: u32 = 40;

/// The mean time of one call, in the best round of `calls`.
pub(crate) fn best(calls: u32, mut call: impl FnMut()) -> Duration {
    (0..ROUNDS).map(|_| round(calls, &mut call)).min().unwrap()
}

/// The same for two calls, by turns: what changes meanwhile changes both.
pub(crate) fn both(calls: u32, mut one: impl FnMut(), mut other: impl FnMut()) -> (Duration, Duration) {
    let rounds = (0..ROUNDS).map(|_| (round(calls, &mut one), round(calls, &mut other)));
    rounds.reduce(|least, found| (least.0.min(found.0), least.1.min(found.1))).unwrap()
}

fn round(calls: u32, call: &mut impl FnMut()) -> Duration {
    let began = cpu_time();
    (0..calls).for_each(|_| call());
    (cpu_time() - began) / calls
}

/// What this thread has worked, whatever else the machine does.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Tells whether a goal is held.
pub(crate) fn say(goal: &str, ratio: f64, held: bool) -> bool {
    println!("  {goal}: {ratio:.2}, {}", if held { "held" } else { "MISSED" });
    held
}

/// A signature by an RSA key of 2048 bits.
pub(crate) struct Signed {
    key: RsaKeyPair,
    text: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Signs `text` with a key of its own.
    pub(crate) fn new(text: Vec<u8>) -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &text, &mut signature).unwrap();
        Self { key, text, signature }
    }

    /// The public key, as DNS has it.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// The signature.
    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// One bare verification.
    pub(crate) fn verify(&self) {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.public_key());
        std::hint::black_box(key.verify(&self.text, &self.signature)).unwrap();
    }
}
