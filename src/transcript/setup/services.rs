//! The services that policies ask, as a transcript has them answer.

use super::super::words::{Mistake, Word, Words};
use crate::policy::question::{Answer, HttpReply, Question, Rspamd, Scan};

/// What web services and scanners answer. What is not said is an error, as of a service that is not there.
#[derive(Clone, Debug, Default)]
pub(in crate::transcript) struct Services {
    clamd: Scan,
    rspamd: Rspamd,
    http: Vec<Page>,
}

/// The answer to one request.
#[derive(Clone, Debug)]
struct Page {
    posted: bool,
    url: String,
    reply: HttpReply,
}

impl Services {
    /// The answer to `question`, if it is one for services. The last line about a page counts.
    pub(in crate::transcript) fn answer(&self, question: &Question) -> Option<Answer> {
        let page = |posted: bool, url: &str| {
            let known = self.http.iter().rev().find(|page| page.posted == posted && page.url == url);
            Answer::Http(known.map(|page| page.reply.clone()).unwrap_or_default().into())
        };
        match question {
            Question::Clamd => Some(Answer::Scan(self.clamd.clone().into())),
            Question::Rspamd => Some(Answer::Rspamd(self.rspamd.clone().into())),
            Question::HttpGet(url) => Some(page(false, url)),
            Question::HttpPost { url, .. } => Some(page(true, url)),
            _ => None,
        }
    }

    /// `clamd clean`, `clamd infected NAME`, `clamd error`.
    pub(super) fn read_clamd(&mut self, words: &mut Words<'_>) -> Result<(), Mistake> {
        let results = ["clean", "infected", "error"].map(|result| (result, result));
        let result = words.expect("clean, infected or error")?.choose("result", &results)?;
        let name = if result == "infected" { words.expect("the name of what was found")?.text } else { "" };
        self.clamd = Scan { result, name: name.to_owned() };
        Ok(())
    }

    /// `rspamd "add header" 7.5 SYMBOL=3.5 ...`, or `rspamd error`.
    pub(super) fn read_rspamd(&mut self, words: &mut Words<'_>) -> Result<(), Mistake> {
        let action = if words.peek().starts_with('"') {
            String::from_utf8_lossy(&words.quoted()?).into_owned()
        } else {
            words.expect("an action, such as \"no action\"")?.text.to_owned()
        };
        if action == "error" {
            self.rspamd = Rspamd::default();
            return Ok(());
        }
        let score = words.expect("a score")?.parse("a number")?;
        let symbols = words.list();
        let symbols = symbols.iter().map(symbol).collect::<Result<_, _>>()?;
        self.rspamd = Rspamd { result: "ok", action, score, symbols };
        Ok(())
    }

    /// `http GET URL 200 BODY`, `http POST URL error`.
    pub(super) fn read_http(&mut self, words: &mut Words<'_>) -> Result<(), Mistake> {
        let posted = words.expect("GET or POST")?.choose("method", &[("GET", false), ("POST", true)])?;
        let url = words.expect("a URL")?.text.to_owned();
        let status = words.expect("a status, or error")?;
        let reply = if status.text == "error" {
            HttpReply::default()
        } else {
            let status: u16 = status.parse("a status")?;
            let result = if (200..300).contains(&status) { "ok" } else { "error" };
            HttpReply { result, status, body: words.rest().text.to_owned() }
        };
        self.http.push(Page { posted, url, reply });
        Ok(())
    }
}

/// `BAYES_SPAM=3.5`.
fn symbol(word: &Word<'_>) -> Result<(String, f64), Mistake> {
    let (name, score) = word.text.split_once('=').ok_or_else(|| word.mistake("write it as NAME=SCORE"))?;
    Ok((name.to_owned(), score.parse().map_err(|_| word.mistake("the score is no number"))?))
}
