//! A real PostgreSQL server of its own, for one test.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::open_folder;
use super::port::Port;

const LIMIT: Duration = Duration::from_mins(1);
/// Those who come by TCP need TLS and this password.
pub const PASSWORD: &str = "a password for tests";

/// Ends with the value.
#[derive(Debug)]
pub struct Postgres {
    folder: tempfile::TempDir,
    port: Port,
    programs: PathBuf,
}

impl Postgres {
    /// With an empty database `zegel` that the role of this name owns; by a Unix socket without
    /// a password, and by TCP with TLS.
    pub fn start() -> Self {
        let server = Self {
            folder: open_folder("postgres"),
            port: Port::free(),
            programs: programs(),
        };
        let folder = server.folder.path();
        let made = Command::new("chown").arg("postgres:").arg(folder).status();
        assert!(made.expect("chown").success());
        let data = server.data();
        server.run("initdb", &["--auth=trust", "-D", &data]);
        server.certificates();
        let access = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(format!("{data}/pg_hba.conf"), access).expect("who may come");
        let port = server.port.number();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
             fsync = off\nssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            folder.display(),
            server.path("server.crt").display(),
            server.path("server.key").display(),
        );
        fs::write(format!("{data}/postgresql.auto.conf"), settings).expect("settings");
        server.launch();
        server.psql_of(
            "postgres",
            &format!("create role zegel login password '{PASSWORD}'"),
        );
        server.psql_of("postgres", "create database zegel owner zegel");
        server
    }

    /// The settings of a relay that comes by the Unix socket.
    pub fn settings(&self, relay: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!(
            "[database]\nurl = \"postgresql://zegel@{folder}:{}/zegel\"\ntls = \"off\"\n\
             relay = \"{relay}\"\npoll_every = \"1s\"\n",
            self.port.number()
        )
    }

    /// The settings of one that comes by TCP, to a host that is called so.
    pub fn settings_of_host(&self, host: &str) -> String {
        format!(
            "[database]\nurl = \"postgresql://zegel@{host}:{}/zegel\"\n\
             password_file = \"{}\"\nca_file = \"{}\"\n",
            self.port.number(),
            self.path("password").display(),
            self.path("ca.crt").display(),
        )
    }

    /// Where something of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs statements as the superuser, each line a row. Panics if one fails.
    pub fn psql(&self, sql: &str) -> String {
        self.psql_of("zegel", sql)
    }

    /// Gives what PostgreSQL says against it. Panics if it does nothing of the kind.
    pub fn refuses(&self, sql: &str) -> String {
        let output = self.ask("zegel", sql);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{sql} was not refused");
        said
    }

    fn psql_of(&self, database: &str, sql: &str) -> String {
        let output = self.ask(database, sql);
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn ask(&self, database: &str, sql: &str) -> Output {
        self.command("psql")
            .args(["-h", &self.folder.path().display().to_string()])
            .args(["-p", &self.port.number().to_string(), "-d", database])
            .args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .expect("psql (tests/install-packages)")
    }

    /// Everything is as it was then, from what `pg_dump` wrote.
    pub fn restore(&self, dump: &str) {
        let file = self.path("dump.sql");
        fs::write(&file, dump).expect("a dump");
        self.psql_of("postgres", "drop database zegel with (force)");
        self.psql_of("postgres", "create database zegel owner zegel");
        let folder = self.folder.path().display().to_string();
        let port = self.port.number().to_string();
        let file = file.display().to_string();
        let place = [
            "-h", &folder, "-p", &port, "-d", "zegel", "-qX", "-f", &file,
        ];
        self.run("psql", &place);
    }

    /// What `pg_dump` writes.
    pub fn dump(&self) -> String {
        let folder = self.folder.path().display().to_string();
        let port = self.port.number().to_string();
        self.run("pg_dump", &["-h", &folder, "-p", &port, "zegel"])
    }

    /// Ends it as a crash does.
    pub fn crash(&self) {
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-m", "immediate", "-w", "stop"],
        );
    }

    /// Starts it, and waits until it answers.
    pub fn launch(&self) {
        let log = self.path("server.log").display().to_string();
        let status = self
            .command("pg_ctl")
            .args(["-D", &self.data(), "-l", &log, "-w", "start"])
            .stdout(Stdio::null())
            .status();
        let log = || fs::read_to_string(self.path("server.log")).unwrap_or_default();
        assert!(status.expect("pg_ctl").success(), "{}", log());
        let begun = Instant::now();
        while !self.ask("postgres", "select 1").status.success() {
            assert!(begun.elapsed() < LIMIT, "{}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn data(&self) -> String {
        self.path("data").display().to_string()
    }

    /// An authority, and the certificate of `localhost` by it.
    fn certificates(&self) {
        let script = "
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                -subj '/CN=an authority for tests' -keyout ca.key -out ca.crt
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
                -subj '/CN=localhost' -keyout server.key -out server.csr
            printf 'subjectAltName=DNS:localhost\\n' >names
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
                -extfile names -out server.crt
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                -subj '/CN=another authority' -keyout other.key -out other.crt
            chmod 600 server.key";
        let output = self.command("bash").args(["-ec", script]).output();
        let output = output.expect("openssl (tests/install-packages)");
        assert!(output.status.success(), "{output:?}");
        fs::write(self.path("password"), format!("{PASSWORD}\n")).expect("the password");
        let status = Command::new("chmod")
            .arg("600")
            .arg(self.path("password"))
            .status();
        assert!(status.expect("chmod").success());
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output();
        let output = output.expect("PostgreSQL (tests/install-packages)");
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// As the user that it runs as: it does not run as root.
    fn command(&self, program: &str) -> Command {
        let own = self.programs.join(program);
        let program = if own.exists() { own } else { program.into() };
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program)
            .current_dir(self.folder.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self
            .command("pg_ctl")
            .args(["-D", &self.data(), "-m", "immediate", "stop"])
            .output();
    }
}

/// The newest that there is.
fn programs() -> PathBuf {
    let found = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL (tests/install-packages)");
    let mut versions: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions.pop().expect("a version of PostgreSQL").join("bin")
}
