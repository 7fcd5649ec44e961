//! The way to a database.

use std::{
    error::Error, fs, io, net::IpAddr, os::unix::fs::PermissionsExt, path::Path, sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::timeout;
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DatabaseError;
use crate::config::{DatabaseSettings, Tls};

/// For a few small questions.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// For everything that a fleet has.
pub(super) const TRANSFER: Duration = Duration::from_mins(30);
const CONNECT: Duration = Duration::from_secs(5);
/// How long a peer that is gone is taken for one that thinks.
const SILENCE: Duration = Duration::from_secs(10);
const PASSWORD_OCTETS: u64 = 4096;

pub(super) async fn connect(settings: &DatabaseSettings) -> Result<Client, DatabaseError> {
    let mut config: Config = settings
        .url
        .parse()
        .map_err(|error: tokio_postgres::Error| setting("url", &reason(&error)))?;
    if config.get_password().is_some() {
        let text =
            "there is a password in it: write it into a file, and name that as password_file";
        return Err(setting("url", text));
    }
    config
        .application_name("zegel")
        .connect_timeout(CONNECT)
        .keepalives_idle(SILENCE)
        .tcp_user_timeout(SILENCE)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    if let Some(file) = &settings.password_file {
        config.password(password(file)?);
    }
    let connecting = async {
        match settings.tls {
            Tls::Off => {
                check_is_local(&config)?;
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
            Tls::Verify => {
                config.ssl_mode(SslMode::Require);
                let tls = MakeRustlsConnect::new(client_config(settings.ca_file.as_deref())?);
                let (client, connection) = config.connect(tls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    };
    within(PATIENCE, connecting).await
}

/// Never waits for a database for ever.
pub(super) async fn within<T>(
    patience: Duration,
    doing: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    let late = |_| DatabaseError::Late(patience.as_secs());
    timeout(patience, doing).await.map_err(late)?
}

/// With what lies behind an error, in one line.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn setting(key: &str, text: &str) -> DatabaseError {
    DatabaseError::Settings(format!("{key}: {text}"))
}

fn password(file: &Path) -> Result<String, DatabaseError> {
    let failed = |error: io::Error| {
        let text = format!("{}: {error}", file.display());
        setting("password_file", &text)
    };
    let metadata = fs::metadata(file).map_err(failed)?;
    if metadata.permissions().mode() & 0o007 != 0 || metadata.len() > PASSWORD_OCTETS {
        let file = file.display();
        let text =
            format!("{file}: everybody can read it, or it is no password: `chmod 600 {file}`");
        return Err(setting("password_file", &text));
    }
    let text = fs::read_to_string(file).map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// That nobody in between can read or change what is said.
fn check_is_local(config: &Config) -> Result<(), DatabaseError> {
    let is_local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|one| one.is_loopback())
        }
    };
    let hosts = config.get_hosts();
    let addresses = config.get_hostaddrs();
    let is_local = !hosts.is_empty()
        && hosts.iter().all(is_local)
        && addresses.iter().all(IpAddr::is_loopback);
    if is_local {
        return Ok(());
    }
    let text = "\"off\" is for a Unix socket or this host alone: write tls = \"verify\"";
    Err(setting("tls", text))
}

fn client_config(authorities: Option<&Path>) -> Result<ClientConfig, DatabaseError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = authorities {
        let wrong = |text: String| setting("ca_file", &format!("{}: {text}", file.display()));
        let found =
            CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            let added = roots.add(certificate);
            added.map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("there is no certificate in it".to_owned()));
        }
    } else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| setting("tls", &error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}
