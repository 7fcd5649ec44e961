//! A real Chromium without a screen, driven over two pipes (the DevTools protocol).

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::process::program;

/// No answer takes that long, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A browser with one page. It ends with the test: its pipes close.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    number: u64,
    /// Events that nobody has asked for yet.
    events: VecDeque<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        // It reads commands from descriptor 3 and writes answers to 4.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh"])
            .arg(program("/usr/bin/chromium"))
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium starts (tests/install-packages installs it)");
        let commands = child.stdin.take().expect("a pipe");
        let answers = child.stdout.take().expect("a pipe");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(answers).split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).expect("JSON of DevTools");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            session: String::new(),
            number: 0,
            events: VecDeque::new(),
            _profile: profile,
        };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let page = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = self.call(
            "Target.attachToTarget",
            &json!({ "targetId": page["targetId"], "flatten": true }),
        );
        self.session = text(&attached["sessionId"]);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut line = message.to_string().into_bytes();
        line.push(0);
        self.commands.write_all(&line).expect("chromium reads");
        loop {
            let message = self.next(method);
            if message["id"] == json!(self.number) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    fn next(&self, waiting_for: &str) -> Value {
        self.messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("chromium does not answer {waiting_for}: {error}"))
    }

    /// Opens an address and waits until all of it is there.
    pub(crate) fn open(&mut self, address: &str) {
        self.events.clear();
        self.call("Page.navigate", &json!({ "url": address }));
        self.await_page(address);
    }

    /// Does what leads to another page, and waits until all of that is there.
    pub(crate) fn submit(&mut self, expression: &str) {
        self.events.clear();
        self.evaluate(expression);
        self.await_page(expression);
    }

    fn await_page(&mut self, what: &str) {
        let is_loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(is_loaded) {
            let event = self.next(what);
            self.events.push_back(event);
        }
    }

    /// Clicks on a place, `[x, y]`.
    pub(crate) fn click(&mut self, place: &Value) {
        for kind in ["mousePressed", "mouseReleased"] {
            let parameters = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", &parameters);
        }
    }

    /// What the console got since the page was opened, and what could not be loaded.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // All that came before the answer is there by then.
        self.evaluate("1");
        let complaint = |event: &Value| {
            let method = event["method"].as_str()?;
            let is_bad_answer = method == "Network.responseReceived"
                && event["params"]["response"]["status"]
                    .as_u64()
                    .is_some_and(|status| status >= 400);
            let is_complaint = [
                "Log.entryAdded",
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
                "Network.loadingFailed",
            ]
            .contains(&method);
            (is_complaint || is_bad_answer).then(|| event.to_string())
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// The value of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", &parameters);
        assert!(result["exceptionDetails"].is_null(), "{result}");
        result["result"]["value"].clone()
    }

    /// The size of the window, in pixels of CSS.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let parameters = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", &parameters);
    }

    /// `light` or `dark`.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        );
    }

    /// Names of the page as a screen reader reads them: role and name, in their order.
    pub(crate) fn spoken(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().expect("nodes");
        let by_id: HashMap<&str, &Value> = nodes
            .iter()
            .filter_map(|node| Some((node["nodeId"].as_str()?, node)))
            .collect();
        let mut spoken = Vec::new();
        // From the root down, each before what is below it.
        let mut waiting = vec![&nodes[0]];
        while let Some(node) = waiting.pop() {
            let children = node["childIds"].as_array().into_iter().flatten().rev();
            waiting.extend(children.filter_map(|id| by_id.get(id.as_str()?).copied()));
            let (role, name) = (text(&node["role"]["value"]), text(&node["name"]["value"]));
            // Pieces of text are in the names of what they are in.
            if node["ignored"] != json!(true) && !role.ends_with("Text") && role != "InlineTextBox"
            {
                spoken.push((role, name));
            }
        }
        spoken
    }

    /// A picture of the whole page.
    pub(crate) fn picture(&mut self, file: &Path) {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.call("Page.captureScreenshot", &parameters);
        write_base64(file, &picture["data"]);
    }

    /// The page as it is printed on A4.
    pub(crate) fn print(&mut self, file: &Path) {
        let parameters = json!({
            "paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true,
            "printBackground": false,
        });
        let paper = self.call("Page.printToPDF", &parameters);
        write_base64(file, &paper["data"]);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn write_base64(file: &Path, data: &Value) {
    use base64::Engine;
    let octets = base64::engine::general_purpose::STANDARD
        .decode(text(data))
        .expect("base64 of DevTools");
    std::fs::write(file, octets).expect("a picture");
}
