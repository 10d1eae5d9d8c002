//! Chromium without a screen, told what to do by the WebDriver protocol (W3C).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SOON, folder, free_port, server, until};

/// The key of an element in answers (WebDriver 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Option<Child>,
    address: SocketAddr,
    session: String,
    _folder: TempDir,
}

impl Browser {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let folder = folder("browser");
        let port = free_port();
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).env("HOME", folder.path());
        let ready = || call(address, "GET", "/status", None)?["ready"].as_bool().filter(|ready| *ready);
        let driver = server::start(command, &folder.path().join("driver.log"), ready);
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        // The sandbox wants rights that a container does not give; the page is our own.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,800", &profile];
        let wishes = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let begun = call(address, "POST", "/session", Some(&wishes)).expect("a browser");
        let session = begun["sessionId"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
        Self { driver: Some(driver), address, session, _folder: folder }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let path = format!("/session/{}{path}", self.session);
        call(self.address, method, &path, body).expect("the browser answers")
    }

    /// Goes to a page.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", Some(&json!({ "url": url })));
    }

    /// What a function with this body gives.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", Some(&json!({ "script": script, "args": [] })))
    }

    /// Waits until an expression holds in the page.
    #[track_caller]
    pub(crate) fn shows(&self, expression: &str) {
        until(expression, SOON, || (self.run(&format!("return !!({expression})")) == true).then_some(()));
    }

    #[track_caller]
    fn element(&self, css: &str) -> String {
        let found = self.ask("POST", "/element", Some(&json!({ "using": "css selector", "value": css })));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{css}: {found}")).to_owned()
    }

    /// Types into what a selector finds first; `\u{e007}` is Enter.
    #[track_caller]
    pub(crate) fn write(&self, css: &str, text: &str) {
        let typed = format!("/element/{}/value", self.element(css));
        self.ask("POST", &typed, Some(&json!({ "text": text })));
    }

    /// Clicks on what a selector finds first.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        let clicked = format!("/element/{}/click", self.element(css));
        self.ask("POST", &clicked, Some(&json!({})));
    }

    /// What the browser's console says.
    #[track_caller]
    pub(crate) fn console(&self) -> String {
        self.ask("POST", "/se/log", Some(&json!({ "type": "browser" }))).to_string()
    }

    /// A picture of the page, as PNG in base64.
    #[track_caller]
    pub(crate) fn picture(&self) -> String {
        self.ask("GET", "/screenshot", None).as_str().expect("a picture").to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It closes the browser; what is left goes with the process group.
        _ = call(self.address, "DELETE", &format!("/session/{}", self.session), None);
        if let Some(driver) = self.driver.take() {
            server::kill(driver);
        }
    }
}

/// The value of the answer; nothing when nobody answers.
fn call(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    // It leaves the connection open, whatever is asked for.
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().to_ascii_lowercase().split_once(':') {
            Some(("content-length", octets)) => length = octets.trim().parse().ok()?,
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice::<Value>(&body).ok()?["value"].take())
}

/// Where a picture is wanted, it is kept there.
pub(crate) fn keep_picture(browser: &Browser, variable: &str) {
    if let Some(file) = std::env::var_os(variable) {
        let octets = data_encoding::BASE64.decode(browser.picture().as_bytes()).unwrap();
        fs::write(file, octets).unwrap();
    }
}
