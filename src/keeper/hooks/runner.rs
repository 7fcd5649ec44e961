//! Runs the operator's program, each time from a thread of its own that can't reach the keystore:
//! what it starts can't either.
//!
//! The kernel takes a list of what can be reached, file by file beside what is hidden. So the list
//! is made for each run: a file that was replaced since the last one (`/etc/resolv.conf`) is in it.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    runtime::Builder,
    sync::{oneshot, watch},
    time::timeout,
};

/// So much of what the program says to standard error is shown.
const SHOWN: u64 = 2048;

/// One document for the program.
#[derive(Debug)]
pub(super) struct Job {
    /// The program and its arguments; never empty.
    pub(super) command: Vec<String>,
    /// How long it may take.
    pub(super) timeout: Duration,
    /// What it reads from standard input.
    pub(super) document: Vec<u8>,
}

/// Why a document was not taken, in words.
pub(super) type Refused = String;

/// Its threads end, and their programs are killed, when this is dropped.
#[derive(Debug)]
pub(super) struct Runner {
    hidden: Arc<[PathBuf]>,
    /// Whether it was said that nothing can be hidden.
    said: Arc<AtomicBool>,
    is_wanted: watch::Sender<()>,
}

impl Runner {
    /// Programs can reach everything but what is in these folders, and these files.
    pub(super) fn new(hidden: Vec<PathBuf>) -> Self {
        Self {
            hidden: hidden.into(),
            said: Arc::default(),
            is_wanted: watch::Sender::default(),
        }
    }

    /// Hands a document to the program, and waits until it has taken it.
    ///
    /// # Errors
    ///
    /// When it has not, in words.
    pub(super) fn run(&self, job: Job) -> impl Future<Output = Result<(), Refused>> + use<> {
        let (answer, answered) = oneshot::channel();
        let (hidden, said) = (Arc::clone(&self.hidden), Arc::clone(&self.said));
        let wanted = self.is_wanted.subscribe();
        let work = move || {
            if let Err(error) = hide(&hidden)
                && !said.swap(true, Ordering::Relaxed)
            {
                tracing::warn!("hooks.command can read the keystore: {error}");
            }
            // Whoever asked may have been told to end.
            let _ = answer.send(run_here(job, wanted));
        };
        let started = thread::Builder::new().name("hooks".to_owned()).spawn(work);
        async move {
            started.map_err(|error| format!("there can be no thread: {error}"))?;
            answered
                .await
                .map_err(|_| "the thread that runs it has ended".to_owned())?
        }
    }
}

/// Runs it on this thread, for as long as it is wanted.
fn run_here(job: Job, mut wanted: watch::Receiver<()>) -> Result<(), Refused> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        tokio::select! {
            result = run(job) => result,
            // Nobody sends anything: it ends when the sender is gone.
            _ = wanted.changed() => Err("the keeper ends".to_owned()),
        }
    })
}

/// Takes from this thread, and from what it starts, all access to these places. Nothing can give
/// that back.
fn hide(hidden: &[PathBuf]) -> Result<(), String> {
    let failed = |error: RulesetError| error.to_string();
    let access = AccessFs::from_all(ABI::V1);
    let rules = path_beneath_rules(others(Path::new("/"), hidden), access);
    let status = Ruleset::default()
        .handle_access(access)
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(rules))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(failed)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("this kernel has no Landlock".to_owned());
    }
    Ok(())
}

/// All that is below a folder, but what is hidden: the largest parts of it. A link would lead
/// anywhere, and what it leads to has a place of its own.
fn others(folder: &Path, hidden: &[PathBuf]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.path();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_link || hidden.contains(&path) {
            continue;
        }
        if hidden.iter().any(|one| one.starts_with(&path)) {
            found.extend(others(&path, hidden));
        } else {
            found.push(path);
        }
    }
    found
}

async fn run(job: Job) -> Result<(), Refused> {
    let (program, arguments) = job.command.split_first().ok_or("there is no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let group = child.id();
    let said = timeout(job.timeout, talk(&mut child, &job.document)).await;
    let result = match said {
        Ok(Ok((status, said))) => judge(program, status, &said),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => {
            let seconds = job.timeout.as_secs();
            Err(format!(
                "{program} took more than {seconds} s, and was killed"
            ))
        }
    };
    if result.is_err() {
        // With all that it has started.
        let group = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    result
}

/// Gives it the document, and waits for its end.
async fn talk(child: &mut Child, document: &[u8]) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            match stdin.write_all(document).await {
                // It need not read what it does not want to know.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        Ok(())
    };
    let read = async {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            (&mut stderr).take(SHOWN).read_to_end(&mut said).await?;
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        }
        Ok(said)
    };
    let wait = async { child.wait().await };
    let ((), said, status) = tokio::try_join!(write, read, wait)?;
    Ok((status, said))
}

fn judge(program: &str, status: ExitStatus, said: &[u8]) -> Result<(), Refused> {
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(said);
    let line = said.lines().next_back().unwrap_or_default();
    let colon = if line.is_empty() { "" } else { ": " };
    let line = crate::words::printable(line);
    Err(format!("{program}: {status}{colon}{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(script: &str, timeout: Duration) -> Job {
        Job {
            command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
            timeout,
            document: b"{\"a\": 1}\n".to_vec(),
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn a_program_gets_the_document_and_its_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (hidden, open) = (folder.path().join("keys"), folder.path().join("open"));
        for path in [&hidden, &open] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), "secret").unwrap();
        }
        let key = folder.path().join("sealing.key");
        fs::write(&key, "secret").unwrap();
        let runner = Runner::new(vec![hidden.clone(), key.clone()]);
        let long = Duration::from_mins(1);
        let run = |script: &str, timeout| block_on(runner.run(job(script, timeout)));
        let write = format!("cat > {}/out", open.display());
        run(&write, long).unwrap();
        assert_eq!(fs::read(open.join("out")).unwrap(), b"{\"a\": 1}\n");
        // One that reads nothing is as good.
        run("exit 0", long).unwrap();
        let refused = run("echo first >&2; echo why >&2; exit 3", long).unwrap_err();
        assert!(refused.ends_with("exit status: 3: why"), "{refused}");
        let refused = run("sleep 60 & sleep 60", Duration::from_millis(200)).unwrap_err();
        assert!(refused.contains("was killed"), "{refused}");
        // What is hidden can't be read, and what is beside it can.
        run(&format!("cat {}/file", open.display()), long).unwrap();
        let refused = run(&format!("cat {}/file", hidden.display()), long).unwrap_err();
        assert!(refused.contains("Permission denied"), "{refused}");
        let refused = run(&format!("cat {}", key.display()), long).unwrap_err();
        assert!(refused.contains("Permission denied"), "{refused}");
        // A file beside it that is made, or put in the place of another, between runs can be read.
        let beside = folder.path().join("resolv.conf");
        for text in ["one", "two"] {
            fs::write(folder.path().join("new"), text).unwrap();
            fs::rename(folder.path().join("new"), &beside).unwrap();
            run(&format!("cat {}", beside.display()), long).unwrap();
        }
    }
}
