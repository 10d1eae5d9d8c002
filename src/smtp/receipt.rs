//! The evidence without which no message is ever acknowledged.

use super::reply::{Class, Code, EnhancedCode, Reply};

/// Proof that somebody took responsibility for a message: the only thing that lets a session say 250 to the final dot.
///
/// **Invariant: a receipt is made in three places only**, where the upstream's complete 2yz reply to the final dot is
/// read, and where the Maildir or the quarantine has made the message durable. A test of the project holds the tree to it.
#[derive(Debug, Eq, PartialEq)]
pub struct Receipt(Reply);

impl Receipt {
    /// The receipt in the upstream's answer to the final dot; any other answer than 2yz is handed back.
    pub fn from_final_reply(reply: Reply) -> Result<Self, Reply> {
        if reply.code().class() == Class::Completed { Ok(Self(reply)) } else { Err(reply) }
    }

    /// The receipt of a store that has the message on disk, with the name that it was given there: the file, its rename and
    /// the directory were synced before this is called.
    pub fn from_durable_store(name: &str) -> Self {
        Self(Reply::new(
            Code::literal::<250>(),
            Some(EnhancedCode::new(2, 0, 0)),
            &format!("Ok: stored as {name}"),
        ))
    }

    /// What the client hears.
    pub const fn reply(&self) -> &Reply {
        &self.0
    }

    /// The reply itself.
    pub fn into_reply(self) -> Reply {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Receipt;
    use crate::smtp::reply::{Code, Reply};

    #[test]
    fn only_a_2yz_reply_is_a_receipt() {
        for (code, taken) in
            [(250, true), (200, true), (354, false), (421, false), (451, false), (550, false)]
        {
            let reply = Reply::new(Code::new(code).unwrap(), None, "queued as 4XyZ");
            match Receipt::from_final_reply(reply.clone()) {
                Ok(receipt) => assert!(taken && receipt.into_reply() == reply, "{code}"),
                Err(refused) => assert!(!taken && refused == reply, "{code}"),
            }
        }
    }

    #[test]
    fn a_stores_receipt_says_where_the_message_is() {
        let receipt = Receipt::from_durable_store("1700000000.x");
        assert_eq!(receipt.reply().to_string(), "250 2.0.0 Ok: stored as 1700000000.x");
    }
}
